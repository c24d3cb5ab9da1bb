# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue-view --headless` against stock QEMU and stock spice-server: pictures, tickets, TLS, and
every way in which a session moves."""
import subprocess
import time

import cells
import guest
import pytest
import viewer
from viewer_cells import Line

SCREEN = ("-vga", "qxl")


def same_pixels(one, other):
    """Both are three bytes a pixel, as screenshots and screendumps are."""
    assert one.channels == other.channels == 3
    return (one.width, one.height, bytes(one.data)) == (other.width, other.height,
                                                        bytes(other.data))


def painting_guest(directory):
    """Paints 20 frames a second, from the first second on; both ends of a move share its disk."""
    return [*SCREEN, *guest.boot_disk(directory / "disk.img", fps=20)]


@pytest.mark.full
@pytest.mark.parametrize("compression", ["off", "lz", "glz", "auto_glz", "quic"])
def test_pictures_are_qemus_own(tmp_path, compression):
    with viewer.spice_qemu(tmp_path / "vm", *painting_guest(tmp_path),
                           spice=f",image-compression={compression}") as vm:
        vm.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                           "--commands") as view:
            view.wait("frame", 5)
            assert view.shows(vm)
            assert view.stop() == 0
        assert not view.named("error")
        shown = cells.Picture.read(view.screenshot)
        assert same_pixels(shown, vm.picture())
        stock = tmp_path / "stock.ppm"
        subprocess.run(["spicy-screenshot", "-h", "127.0.0.1", "-p", str(vm.port), "-o", stock],
                       check=True, timeout=60, capture_output=True)
        assert same_pixels(shown, cells.Picture.read(stock))


@pytest.mark.quick
def test_event_lines_of_a_plain_session(tmp_path):
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN) as vm:
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}") as view:
            # The first picture may come before the last channel is open.
            view.wait("connected")
            view.wait("frame")
            assert view.stop() == 0
        assert view.names() == ["connected", "disconnected"]
        stamps = [event["t_us"] for event in view.events]
        assert stamps == sorted(stamps)
        assert view.screenshot.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.quick
def test_a_wrong_ticket_is_one_clear_error(tmp_path):
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN, password="right") as vm:
        uri = f"spice://127.0.0.1:{vm.port}"
        with viewer.Viewer(tmp_path / "bad", uri,
                           environment={"SEGUE_VIEW_PASSWORD": "wrong"}) as view:
            assert view.process.wait(60) == 1
        errors = view.named("error")
        assert [error["code"] for error in errors] == ["auth_failed"]
        assert "right" not in view.log() and "wrong" not in view.log()
        with viewer.Viewer(tmp_path / "good", uri,
                           environment={"SEGUE_VIEW_PASSWORD": "right"}) as view:
            # The first picture may come before the last channel is open.
            view.wait("connected")
            view.wait("frame")
            assert view.stop() == 0


# What the client masks, and how the session must move then.
WAYS = {
    "seamless": {},
    "semi-seamless": {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0"},
    "switch-host": {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0",
                    "SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE": "0"},
}


def check_moved(view, target, manner, linked):
    """The events of one move, in order, and that the session is alive behind it."""
    expected = ["connected"]
    if linked:
        expected += ["migrate-begin", "target-connected"]
    names = view.names()
    assert names[:len(expected)] == expected
    rest = names[len(expected):]
    assert sorted(rest) == ["first-target-frame", "migrate-done", "switch"], names
    assert rest[0] == "switch"
    assert view.named("switch")[0]["manner"] == manner
    assert view.named("migrate-done")[0]["host"] == f"127.0.0.1:{target.port}"
    after = len(view.named("frame"))
    view.wait("frame", after + 5)


@pytest.mark.full
@pytest.mark.parametrize("manner", WAYS)
@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["", "read-only"])
def test_a_session_moves(tmp_path, manner, options):
    machine = painting_guest(tmp_path)
    with viewer.spice_qemu(tmp_path / "a", *machine) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True) as target:
        source.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{source.port}", "--commands",
                           *options, environment=WAYS[manner]) as view:
            view.wait("connected")
            view.wait("frame", 5)
            viewer.announce(source, target)
            if manner == "switch-host":
                time.sleep(0.5)
            else:
                view.wait("target-connected")
            viewer.migrate(source, target)
            view.wait("migrate-done")
            view.wait("first-target-frame")
            check_moved(view, target, manner, manner != "switch-host")
            assert view.shows(target, rests=manner != "seamless")
            assert view.stop() == 0


@pytest.mark.full
def test_a_cancelled_move_leaves_everything_as_it_was(tmp_path):
    machine = painting_guest(tmp_path)
    with viewer.spice_qemu(tmp_path / "a", *machine) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True) as target:
        source.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{source.port}") as view:
            view.wait("connected")
            view.wait("frame", 5)
            viewer.announce(source, target)
            view.wait("target-connected")
            viewer.begin_and_cancel(source, target)
            done = view.wait("migrate-done")
            assert done["manner"] == "cancelled"
            assert done["host"] == f"127.0.0.1:{source.port}"
            view.wait("frame", len(view.named("frame")) + 5)
            assert view.stop() == 0
        assert "switch" not in view.names()


@pytest.mark.full
def test_a_machine_that_outruns_its_viewer_is_followed(tmp_path):
    machine = painting_guest(tmp_path)
    with viewer.spice_qemu(tmp_path / "a", *machine) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True) as target:
        source.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{source.port}") as view:
            view.wait("connected")
            view.wait("frame", 5)
            viewer.announce(source, target)
            viewer.migrate(source, target)
            view.wait("migrate-done")
            view.wait("frame", len(view.named("frame")) + 5)
            assert view.stop() == 0
        assert "disconnected" not in view.names()[:-1]


@pytest.mark.full
def test_a_dead_announced_port_is_tried_until_the_machine_is_there(tmp_path):
    """Stock's viewer loses the session here: the port that was announced opens only later."""
    machine = painting_guest(tmp_path)
    with viewer.spice_qemu(tmp_path / "a", *machine) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True) as target:
        source.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{source.port}") as view:
            view.wait("connected")
            view.wait("frame", 5)
            viewer.announce(source, target, port=viewer.free_port())
            view.wait("error")
            viewer.announce(source, target)
            view.wait("target-connected")
            viewer.migrate(source, target)
            view.wait("migrate-done")
            view.wait("frame", len(view.named("frame")) + 5)
            assert view.stop() == 0
        assert view.named("switch")[0]["manner"] == "seamless"


@pytest.mark.full
def test_chained_moves_there_and_on_and_back(tmp_path):
    machine = painting_guest(tmp_path)
    hosts = [viewer.spice_qemu(tmp_path / name, *machine, incoming=name != "a") for name in "abc"]
    with hosts[0] as first, hosts[1] as second, hosts[2] as third:
        first.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{first.port}") as view:
            view.wait("connected")
            view.wait("frame", 5)
            move = 0
            for source, target in ((first, second), (second, third)):
                move += 1
                viewer.announce(source, target)
                view.wait("target-connected", move)
                viewer.migrate(source, target)
                view.wait("migrate-done", move)
                view.wait("first-target-frame", move)
                source.stop()
            home = viewer.spice_qemu(tmp_path / "home", *machine, incoming=True)
            with home:
                viewer.announce(third, home)
                view.wait("target-connected", 3)
                viewer.migrate(third, home)
                view.wait("migrate-done", 3)
                view.wait("frame", len(view.named("frame")) + 5)
                assert view.stop() == 0
        assert [event["manner"] for event in view.named("switch")] == ["seamless"] * 3


@pytest.mark.full
def test_a_lost_server_is_reconnected_to(tmp_path):
    machine = [*SCREEN]
    with viewer.spice_qemu(tmp_path / "vm", *machine) as vm:
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                           "--reconnect=600") as view:
            # The first picture may come before the last channel is open, and so may the end.
            view.wait("frame")
            vm.stop()
            assert view.wait("disconnected")["retrying"] is True
            before = len(view.named("connected"))
            again = guest.Qemu(tmp_path / "again", *machine, "-spice",
                               f"port={vm.port},addr=127.0.0.1,disable-ticketing=on")
            with again:
                view.wait("connected", before + 1)
                view.wait("frame", len(view.named("frame")) + 1)
                assert view.stop() == 0


@pytest.mark.soak
def test_a_machine_that_is_switched_off_ends_its_viewer(tmp_path):
    """Without an error, and long before a server that was lost is given up."""
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN) as vm:
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}") as view:
            view.wait("connected")
            begun = time.monotonic()
            vm.qmp("quit")
            assert view.process.wait(120) == 0
            assert time.monotonic() - begun < 50, "that was the bound of a lost server"
        assert [event["retrying"] for event in view.named("disconnected")] == [True, False]
        assert not any(event["fatal"] for event in view.named("error"))


@pytest.mark.soak
def test_two_viewers_do_not_throw_each_other_out_for_ever(tmp_path):
    """Stock's server has room for one: whoever came first comes back at most once."""
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN) as vm:
        uri = f"spice://127.0.0.1:{vm.port}"
        with viewer.Viewer(tmp_path / "one", uri) as one:
            one.wait("connected")
            with viewer.Viewer(tmp_path / "other", uri) as other:
                other.wait("connected")
                end = time.monotonic() + 60
                while one.process.poll() is None and other.process.poll() is None:
                    assert time.monotonic() < end, "both are still there"
                    time.sleep(0.05)
                gone, stays = (one, other) if one.process.poll() is not None else (other, one)
                assert gone.process.wait(60) == 1
                last = [event for event in gone.named("error") if event["fatal"]]
                assert len(last) == 1 and "another viewer" in last[0]["message"]
                assert len(gone.named("disconnected")) <= 3
                # It has the screen to itself.
                stays.wait("connected", len(stays.named("disconnected")) + 1)
                assert stays.process.poll() is None
                assert stays.stop() == 0


@pytest.mark.soak
def test_a_ticket_that_has_changed_is_not_tried_for_ever(tmp_path):
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN, password="right") as vm:
        with Line(vm.port) as line, \
                viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{line.port}",
                              environment={"SEGUE_VIEW_PASSWORD": "right"}) as view:
            view.wait("connected")
            vm.qmp("set_password", protocol="spice", password="other")
            line.tell("cut")
            begun = time.monotonic()
            assert view.process.wait(120) == 1
            assert time.monotonic() - begun < 50, "that was the bound of a lost server"
        fatal = [event["code"] for event in view.named("error") if event["fatal"]]
        assert fatal == ["auth_failed"]


@pytest.mark.full
def test_encryption_is_never_lost(tmp_path):
    """The viewer demands TLS, the servers would do without: stock's viewer moves in plain text."""
    pki = viewer.make_certificates(tmp_path / "pki", "host-a", "host-b")
    machine = painting_guest(tmp_path)
    ports = {name: viewer.free_port() for name in "ab"}

    def secure(name, **more):
        return viewer.spice_qemu(
            tmp_path / name, *machine,
            spice=f",tls-port={ports[name]},x509-dir={pki}/host-{name}", **more)
    with secure("a") as source, secure("b", incoming=True) as target:
        source.wait_frame(5)
        uri = f"spice://127.0.0.1?port={source.port}&tls-port={ports['a']}"
        with viewer.Viewer(tmp_path / "view", uri, "--spice-secure-channels=all",
                           f"--spice-ca-file={pki}/ca-cert.pem",
                           "--spice-host-subject=O=Segue test,CN=host-a") as view:
            assert view.wait("connected")["secure"] is True
            view.wait("connected")
            view.wait("frame", 5)
            viewer.announce(source, target, tls_port=ports["b"],
                            cert_subject="O=Segue test,CN=host-b")
            view.wait("target-connected")
            viewer.migrate(source, target)
            assert view.wait("migrate-done")["secure"] is True
            view.wait("frame", len(view.named("frame")) + 5)
            channels = target.qmp("query-spice")["channels"]
            assert len(channels) == 4 and all(channel["tls"] for channel in channels)
            assert view.stop() == 0


@pytest.mark.full
@pytest.mark.parametrize("option", ["--spice-host-subject=O=Segue test,CN=somebody else",
                                    "--spice-host-subject=CN=host-a", None])
def test_a_server_that_is_somebody_else_is_refused(tmp_path, option):
    pki = viewer.make_certificates(tmp_path / "pki", "host-a")
    tls_port = viewer.free_port()
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN,
                           spice=f",tls-port={tls_port},x509-dir={pki}/host-a"):
        options = [f"--spice-ca-file={pki}/ca-cert.pem"] + ([option] if option else [])
        with viewer.Viewer(tmp_path / "view", f"spice+tls://127.0.0.1:{tls_port}",
                           *options) as view:
            assert view.process.wait(60) == 1
        errors = [event for event in view.named("error") if event["fatal"]]
        assert len(errors) == 1 and errors[0]["code"] == "auth_failed"
        assert view.names() == ["error"] * len(view.named("error"))
