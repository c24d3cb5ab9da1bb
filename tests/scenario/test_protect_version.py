# SPDX-License-Identifier: LGPL-2.1-or-later
"""A primary's host whose agents speak another version of the link hears so, before anything is
made."""
import uuid

import libsegue_rpc
import pytest
from hosts import Hosts


@pytest.mark.quick
@pytest.mark.parametrize("said, heard", [({"link_version": 5}, "speaks version 5 of the link"),
                                         ({}, "speaks an older version of the link")])
def test_a_primary_of_another_release_is_refused(said, heard):
    with Hosts(1) as (host,):
        arguments = {"key": str(uuid.uuid4()), "secret": "0123456789abcdef" * 2, "xml": "", **said}
        with pytest.raises(RuntimeError, match=heard):
            libsegue_rpc.command(host.socket, "standby-prepare", arguments)
        assert not [*host.state.glob("protection/*")]
