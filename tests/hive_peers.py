#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what python-registry and regipy read in a hive with what they should read.

    hive_peers.py HIVE EXPECTED

EXPECTED has a line of JSON for each key in pre-order: [depth, name, [[name, type, length, SHA-1
of the data], ...]], names as hexadecimal UTF-16LE. Prints what is different and what was
compared; exit status 1 with any difference.

Their listed faults, which are not held against the hive:
* Both decode compressed names by another code page than Latin-1 and fail, or lose something, on
  half surrogate pairs: keys' names are compared by their raw bytes, names of values in regipy
  only where they are ASCII.
* python-registry gives four bytes for shorter inline data of most types, nothing for inline
  REG_MULTI_SZ, turns REG_DWORD_BIG_ENDIAN round, and cuts numbers of a wrong length: data are
  compared where the type is REG_NONE or REG_BINARY, and lengths everywhere. Plain data above
  16344 bytes that begin with "db" (minor version 3) it takes for big data.
* regipy fails on REG_QWORD, REG_DWORD and times of a wrong length, and gives up the key's other
  values then: it is asked for the values of keys that have REG_NONE and REG_BINARY only. It reads
  all of the file for every inline value, so it is not asked about large hives.
"""
import hashlib
import json
import sys

PLAIN = (0, 3)
LARGE = 3 << 20


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def raw_name(raw, compressed):
    return "".join("%02x00" % byte for byte in raw) if compressed else raw.hex()


def from_python_registry(path, minor):
    from Registry import Registry

    def visit(record, depth):
        length = record.unpack_word(0x48)
        name = raw_name(record.unpack_string(0x4C, length), record.has_ascii_name())
        values = []
        if record.values_number():
            for value in record.values_list().values():
                stored = value.unpack_string(0x14, value.unpack_word(0x2)) if value.has_name() else b""
                kind = value.unpack_dword(0xC)
                size = value.data_length()
                wrong = kind not in PLAIN or minor < 4 and size > 16344
                data = None if wrong else sha1(bytes(value.raw_data()))
                values.append([raw_name(stored, value.has_ascii_name()), kind, size, data])
        yield [depth, name, values]
        if record.subkey_number():
            for child in record.subkey_list().keys():
                yield from visit(child, depth + 1)

    sys.setrecursionlimit(5000)
    return visit(Registry.Registry(path).root()._nkrecord, 0)


def from_regipy(path, minor):
    from regipy.registry import RegistryHive

    def visit(key, depth):
        name = raw_name(bytes(key.header.key_name_string), bool(key.header.flags.KEY_COMP_NAME))
        yield [depth, name, key]
        for child in key.iter_subkeys() or ():
            yield from visit(child, depth + 1)

    return visit(RegistryHive(path, hive_type="system").root, 0)


def regipy_values(key, expected, minor):
    """What differs in the values of a key that regipy can be asked for; None where it cannot."""
    if any(kind not in PLAIN or minor < 4 and size > 16344 for _, kind, size, _ in expected):
        return None
    found = list(key.iter_values(trim_values=False))
    if len(found) != len(expected):
        return "%d values instead of %d" % (len(found), len(expected))
    for value, (name, kind, size, data) in zip(found, expected):
        text = bytes.fromhex(name).decode("utf-16-le", "replace")
        if text == "":
            text = "(default)"
        if text.isascii() and value.name != text:
            return "the value %r instead of %r" % (value.name, text)
        if value.value_type != {0: "REG_NONE", 3: "REG_BINARY"}[kind]:
            return "the type %s of %r" % (value.value_type, text)
        if len(value.value) != size or sha1(bytes(value.value)) != data:
            return "other data in %r" % text
    return ""


def main(path, expected_path):
    with open(expected_path) as file:
        expected = [json.loads(line) for line in file]
    with open(path, "rb") as file:
        content = file.read()
    minor = content[24]
    wrong = []
    keys = values = 0
    found = from_python_registry(path, minor)
    for wanted in expected:
        got = next(found, None)
        if got is None or got[:2] != wanted[:2]:
            wrong.append("python-registry: the key %r instead of %r" % (got and got[:2], wanted[:2]))
            break
        keys += 1
        same = len(got[2]) == len(wanted[2])
        for value, known in zip(got[2], wanted[2]):
            values += 1
            same &= value[:3] == known[:3] and value[3] in (None, known[3])
        if not same:
            wrong.append("python-registry: in the key %r: %r instead of %r" % (wanted[:2], got[2], wanted[2]))
    else:
        if next(found, None) is not None:
            wrong.append("python-registry: more keys")
    said = "python-registry: %d keys, %d values" % (keys, values)
    if len(content) <= LARGE:
        keys = values = 0
        found = from_regipy(path, minor)
        for wanted in expected:
            got = next(found, None)
            if got is None or got[:2] != wanted[:2]:
                wrong.append("regipy: the key %r instead of %r" % (got and got[:2], wanted[:2]))
                break
            keys += 1
            if wanted[2]:
                difference = regipy_values(got[2], wanted[2], minor)
                if difference:
                    wrong.append("regipy: in the key %r: %s" % (wanted[:2], difference))
                if difference is not None:
                    values += len(wanted[2])
        else:
            if next(found, None) is not None:
                wrong.append("regipy: more keys")
        said += "; regipy: %d keys, %d values" % (keys, values)
    for line in wrong[:10]:
        print(line[:1000])
    print(said)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
