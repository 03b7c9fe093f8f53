"""Hostile and faulty inputs over every surface of the command line, and what became of each.

    python tests/hostile                        all of them, a table of what was tried and what did not hold
    python tests/hostile --surface store        one surface; --list names them
    python tests/hostile --checkout ../other    the same inputs against another checkout of this project

An input holds if it is refused with one message and exit status 2, or gives a correct result; and if nothing outside
what it may write is changed, nothing is left behind, and no character reaches a terminal that it would obey. Tests run
the quick ones (test_hostile.py).
"""
