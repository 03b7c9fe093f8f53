"""A second implementation of tokenizers, from docs/coreml.md alone: nothing of ours, nothing of sentencepiece's."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

SPACE = "\u2581".encode()


class RefusedError(Exception):
    pass


class Port:
    def __init__(self, path: Path) -> None:
        self.told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if self.told["kind"] == "unigram":
            self._read_pieces()

    def encode(self, prompt: str) -> tuple[list[int], list[int]]:
        text = "".join(letter.lower() for letter in prompt) if self.told["lower_case"] else prompt
        if not self.ids(text):
            raise RefusedError("empty")
        found = [*self.ids(text + self.told["suffix"]), self.told["end"]]
        if len(found) > self.told["length"]:
            raise RefusedError(f"{len(found)} tokens")
        rest = self.told["length"] - len(found)
        return found + [self.told["pad"]] * rest, [1] * len(found) + [0] * rest

    def ids(self, text: str) -> list[int]:
        return self._words(text) if self.told["kind"] == "words" else self._pieces(text)

    def _words(self, text: str) -> list[int]:
        words, word = [], ""
        for letter in text + self.told["separators"][0]:
            if letter not in self.told["separators"]:
                word += letter
            elif word:
                words.append(word)
                word = ""
        if strange := [word for word in words if word not in self.told["words"]]:
            raise RefusedError(strange[0])
        return [self.told["words"][word] for word in words]

    def _read_pieces(self) -> None:
        never = {*self.told["controls"], self.told["unknown"]}
        self.scores = {
            text.encode(): (number, score)
            for number, (text, score) in enumerate(self.told["pieces"])
            if number not in never
        }
        self.longest = max(map(len, self.scores))
        self.unknown_score = as_float32(min(score for _, score in self.scores.values()) - 10.0)
        charsmap = base64.b64decode(self.told["charsmap"])
        size = int.from_bytes(charsmap[:4], "little") if charsmap else 0
        self.units = struct.unpack(f"<{size // 4}I", charsmap[4 : 4 + size])
        self.replacements = charsmap[4 + size :]

    def _pieces(self, text: str) -> list[int]:
        cut = self._cut(self._normalised(text.encode()))
        return [
            number
            for index, number in enumerate(cut)
            if number != self.told["unknown"] or cut[index - 1 : index] != [number]
        ]

    def _normalised(self, text: bytes) -> bytes:
        outputs, place = [], 0
        while place < len(text):
            output, length = self._replaced(text, place)
            outputs.append(output)
            place += length
        while outputs and outputs[0] == b" ":
            outputs.pop(0)
        made, after_space = SPACE, True
        for output in outputs:
            rest = output.lstrip(b" ") if after_space else output
            if rest:
                after_space = rest.endswith(b" ")
                made += rest.replace(b" ", SPACE)
        while made.endswith(SPACE):
            made = made[: -len(SPACE)]
        return made

    def _replaced(self, text: bytes, start: int) -> tuple[bytes, int]:
        found = None
        if self.units:
            position = offset(self.units[0])
            for place in range(start, len(text)):
                position ^= text[place]
                unit = self.units[position]
                if unit & 0x800000FF != text[place]:
                    break
                position ^= offset(unit)
                if unit & 0x100:
                    value = self.units[position] & 0x7FFFFFFF
                    end = self.replacements.index(b"\0", value)
                    found = self.replacements[value:end], place + 1 - start
        return found or (text[start : start + scalar_length(text[start])], scalar_length(text[start]))

    def _cut(self, text: bytes) -> list[int]:
        best: dict[int, tuple[float, int, int]] = {0: (0.0, 0, 0)}

        def offer(start: int, end: int, number: int, score: float) -> None:
            total = as_float32(score + best[start][0])
            if end not in best or total > best[end][0]:
                best[end] = total, start, number

        start = 0
        while start < len(text):
            one, is_known = scalar_length(text[start]), False
            for length in range(1, min(self.longest, len(text) - start) + 1):
                if (known := self.scores.get(text[start : start + length])) is not None:
                    offer(start, start + length, *known)
                    is_known |= length == one
            if not is_known:
                offer(start, start + one, self.told["unknown"], self.unknown_score)
            start += one
        numbers, end = [], len(text)
        while end:
            _, end, number = best[end]
            numbers.append(number)
        return numbers[::-1]


def offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def scalar_length(first: int) -> int:
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
