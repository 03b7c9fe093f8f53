"""sentencepiece's precompiled normalisation: a trie of byte strings, and what each is replaced by.

Four bytes, little-endian: the size of the trie. The trie: units of 32 bits, little-endian, a double array after
Darts-clone. Then the replacements in UTF-8, each ended by a zero byte. Of a unit u

    label    u & 0x800000ff             the byte that leads to it; of a value, no byte
    leaf     u & 0x100                  a string ends here; its value is the unit at position ^ offset
    offset   (u >> 10) << ((u & 0x200) >> 6)
    value    u & 0x7fffffff             where the replacement begins

A walk starts at position 0 and takes `position ^= offset(units[position])`; then for each byte b `position ^= b`, ends
if label(units[position]) is not b, and takes that unit's offset again. The longest string that ends is replaced.

What a file says is not trusted: the library that reads it, and one on a phone, follow these offsets without a look.
"""

from __future__ import annotations

import numpy as np

from ondevice_sora.base.errors import UserError

MAX_CHARSMAP_BYTES = 10_000_000
LEAF, WIDE, VALUE = 0x100, 0x200, 0x80000000
ROW = 256
"""A step by one byte stays in a row of so many units."""


def check_charsmap(charsmap: bytes) -> None:
    """Raises UserError unless every walk stays within the trie, and every replacement within the text behind it."""
    if not charsmap:
        return
    size = int.from_bytes(charsmap[:4], "little")
    replacements = charsmap[4 + size :]
    if not size or size % (4 * ROW) or not replacements.endswith(b"\0"):
        raise UserError("not a normalisation of sentencepiece's: its sizes do not agree")
    units = np.frombuffer(charsmap[4 : 4 + size], "<u4").astype(np.int64)
    try:
        replacements.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError("not a normalisation of sentencepiece's: its replacements are not UTF-8") from None
    inner = np.flatnonzero(units & VALUE == 0)
    targets = inner ^ ((units[inner] >> 10) << ((units[inner] & WIDE) >> 6))
    if (targets // ROW >= len(units) // ROW).any():
        raise UserError("not a normalisation of sentencepiece's: it leads out of its trie")
    values = units[targets[units[inner] & LEAF != 0]]
    if not (values & VALUE != 0).all() or (values & (VALUE - 1) >= len(replacements)).any():
        raise UserError("not a normalisation of sentencepiece's: it leads out of its replacements")
