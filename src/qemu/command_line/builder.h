// SPDX-License-Identifier: LGPL-2.1-or-later
// Collects arguments. Each add_… function below is one device class; they are called in libvirt's
// order by build_command_line.
#pragma once

#include "qemu/command_line.h"

namespace segue {

inline constexpr std::uint64_t kKib = 1024;

// A value inside one of QEMU's comma-separated options: its commas are doubled.
std::string escape_commas(std::string_view text);

class CommandLineBuilder {
  public:
    CommandLineBuilder(const Domain& domain, const CommandLineOptions& options)
        : domain_(domain), options_(options) {}

    const Domain& domain() const { return domain_; }
    const CommandLineOptions& options() const { return options_; }

    void add(std::string word) { line_.arguments.push_back(std::move(word)); }
    void add(std::string option, std::string value) {
        add(std::move(option));
        add(std::move(value));
    }
    void add_json(std::string option, const Json& value) { add(std::move(option), value.dump()); }
    // -device, with the PCI address of `at` in libvirt's words.
    void add_device(const Json& properties) { add_json("-device", properties); }
    void after_start(QmpCommand command) { line_.after_start.push_back(std::move(command)); }
    // Returns the number under which QEMU inherits it.
    int inherit(InheritedFile::Kind kind, std::string path);
    int next_fd_set() { return fd_sets_++; }

    CommandLine& line() { return line_; }

  private:
    const Domain& domain_;
    const CommandLineOptions& options_;
    CommandLine line_;
    int next_descriptor_ = kFirstInherited;
    int fd_sets_ = 0;
};

// QEMU's name of the bus that the address is on.
Result<std::string> pci_bus_name(const Domain& domain, const PciAddress& address);

// "bus" and "addr" of a PCI device ("pci.0", "0x5" or "0x1.0x2"), or "bus" and "port" of a USB one.
Result<> set_address(Json& properties, const Domain& domain, const DeviceAddress& address);

// -chardev for one back end.
Result<> add_chardev(CommandLineBuilder& builder, const Chardev& chardev, const std::string& id,
                     std::string_view spice_name, const std::string& generated_path);

void add_machine(CommandLineBuilder& builder);
Result<> add_clock(CommandLineBuilder& builder);
void add_power(CommandLineBuilder& builder);
void add_boot(CommandLineBuilder& builder);
Result<> add_controllers(CommandLineBuilder& builder);
Result<> add_disks(CommandLineBuilder& builder);
Result<> add_interfaces(CommandLineBuilder& builder);
Result<> add_smartcards(CommandLineBuilder& builder);
Result<> add_serials(CommandLineBuilder& builder);
Result<> add_channels(CommandLineBuilder& builder);
Result<> add_consoles(CommandLineBuilder& builder);
Result<> add_inputs(CommandLineBuilder& builder);
void add_audio(CommandLineBuilder& builder);
Result<> add_graphics(CommandLineBuilder& builder);
Result<> add_videos(CommandLineBuilder& builder);
Result<> add_sounds(CommandLineBuilder& builder);
Result<> add_redirected(CommandLineBuilder& builder);
Result<> add_balloon(CommandLineBuilder& builder);
Result<> add_rngs(CommandLineBuilder& builder);

}  // namespace segue
