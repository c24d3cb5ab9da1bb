// SPDX-License-Identifier: LGPL-2.1-or-later
// Carries the precompiled header of the house (cmake/Room.cmake); no code of its own.
