"""From noise to frames: times, Euler steps, LPL, TDTM's steps, and the files that a video is kept in."""
