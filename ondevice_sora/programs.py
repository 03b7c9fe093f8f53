"""The two programs that are installed. They note signals before they import what they do, which takes a while."""

from ondevice_sora.base.interrupts import note_from_now


def simulate() -> int:
    note_from_now()
    from ondevice_sora.commands.simulate import main

    return main()


def ondevice_sora() -> int:
    note_from_now()
    from ondevice_sora.commands.main import main

    return main()
