#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for broken rules in registry hives: a second opinion beside our own checker.

Written from the description of the format (bins, cells, keys, lists, values, security) and not
from the sources of transom, with which it shares nothing: not even the table of upper-case
letters, which is taken from the test that knows it ($UpCase of an NTFS volume, 131072 bytes).

    hive_scanner.py [--upcase FILE] HIVE...

One line for each finding: the file, the offset in it, what is wrong. Exit status 1 with any.
"""
import struct
import sys

NIL = 0xFFFFFFFF
PAGE = 4096


class Scanner:
    def __init__(self, data, upcase):
        self.data = data
        self.upcase = upcase
        self.findings = []
        self.cells = {}      # offset -> length of the data of an allocated cell
        self.owner = {}      # offset -> who reached it
        self.sk_users = {}   # offset of sk -> number of keys
        self.keys = 0
        self.values = 0

    def say(self, offset, text):
        if len(self.findings) < 200:
            self.findings.append((offset, text))

    # --- the file

    def scan(self):
        data = self.data
        if len(data) < PAGE or data[:4] != b"regf":
            self.say(0, "no base block")
            return
        seq1, seq2 = struct.unpack_from("<II", data, 4)
        major, self.minor, kind, form, root, size, cluster = struct.unpack_from("<7I", data, 20)
        if seq1 != seq2:
            self.say(4, "sequence numbers differ: %d, %d" % (seq1, seq2))
        if major != 1 or not 3 <= self.minor <= 6 or kind != 0 or form != 1 or cluster != 1:
            self.say(20, "no version, type or format of a primary: %r" % ((major, self.minor, kind, form, cluster),))
        total = 0
        for (word,) in struct.iter_unpack("<I", data[:508]):
            total ^= word
        total = {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(total, total)
        if struct.unpack_from("<I", data, 508)[0] != total:
            self.say(508, "checksum is not %08x" % total)
        if size == 0 or size % PAGE or size > len(data) - PAGE:
            self.say(40, "bins of %#x bytes in a file of %#x" % (size, len(data)))
            return
        self.bins = data[PAGE:PAGE + size]
        self.walk_bins()
        self.walk_tree(root)
        self.check_security()
        for offset in self.cells:
            if offset not in self.owner:
                self.say(PAGE + offset, "an allocated cell that nothing refers to: %r" % self.bins[offset + 4:offset + 6])

    def walk_bins(self):
        at = 0
        while at < len(self.bins):
            if self.bins[at:at + 4] != b"hbin":
                self.say(PAGE + at, "no bin")
                return
            own, length = struct.unpack_from("<II", self.bins, at + 4)
            if own != at:
                self.say(PAGE + at + 4, "a bin says that it is at %#x" % own)
            if length == 0 or length % PAGE or at + length > len(self.bins):
                self.say(PAGE + at + 8, "a bin of %#x bytes" % length)
                return
            if at and any(self.bins[at + 12:at + 32]):
                self.say(PAGE + at + 12, "reserved fields of a bin are not zero")
            cell, end, free_before = at + 32, at + length, False
            while cell < end:
                (field,) = struct.unpack_from("<i", self.bins, cell)
                room = abs(field)
                if room < 8 or room % 8 or cell + room > end:
                    self.say(PAGE + cell, "a cell of %d bytes in a bin that ends at %#x" % (field, PAGE + end))
                    break
                if field < 0:
                    self.cells[cell] = room - 4
                elif free_before:
                    self.say(PAGE + cell, "two free cells side by side")
                free_before = field > 0
                cell += room
            at = end

    # --- cells

    def take(self, offset, need, owner, what):
        """The data of a cell that has one owner and room for so many bytes."""
        if offset not in self.cells:
            self.say(PAGE + owner, "%s at %#x is no allocated cell" % (what, offset))
            return None
        if offset in self.owner:
            self.say(PAGE + offset, "%s of %#x belongs to %#x already" % (what, owner, self.owner[offset]))
            return None
        self.owner[offset] = owner
        room = self.cells[offset]
        if room < need:
            self.say(PAGE + offset, "%s needs %d bytes and has %d" % (what, need, room))
            return None
        return self.bins[offset + 4:offset + 4 + room]

    def peek(self, offset, need):
        if self.cells.get(offset, -1) < need:
            return None
        return self.bins[offset + 4:offset + 4 + self.cells[offset]]

    # --- names

    def units(self, raw, compressed, offset):
        if compressed:
            return tuple(raw)
        if len(raw) % 2:
            self.say(PAGE + offset, "half a code unit in a name")
        found = struct.unpack("<%dH" % (len(raw) // 2), raw[:len(raw) // 2 * 2])
        if found and max(found) < 0x100:
            self.say(PAGE + offset, "a name that could be compressed is not")
        return found

    def upper(self, units):
        table = self.upcase
        return tuple(table[unit] for unit in units)

    # --- the tree

    def walk_tree(self, root):
        data = self.take(root, 76, root, "the root key")
        if data is None:
            return
        if self.key_header(root) is None:
            self.say(PAGE + root, "no key node with a name")
            return
        if struct.unpack_from("<H", data, 2)[0] & 0x0C != 0x0C:
            self.say(PAGE + root, "the root has not the flags of a root")
        self.root_sk = struct.unpack_from("<I", data, 44)[0]
        waiting = [(root, 0)]
        while waiting:
            key, depth = waiting.pop()
            self.check_key(key, depth, waiting)

    def key_header(self, key):
        """Name and class length of a key, claimed or not."""
        data = self.peek(key, 76)
        if data is None or data[:2] != b"nk":
            return None
        flags, = struct.unpack_from("<H", data, 2)
        name_length, class_length = struct.unpack_from("<HH", data, 72)
        if name_length == 0 or 76 + name_length > len(data):
            return None
        return self.units(data[76:76 + name_length], flags & 0x20, key), class_length

    def check_key(self, key, depth, waiting):
        data = self.peek(key, 76)
        self.keys += 1
        if depth > 512:
            self.say(PAGE + key, "%d levels deep" % depth)
            return
        subkeys, = struct.unpack_from("<I", data, 20)
        list_, = struct.unpack_from("<I", data, 28)
        values, value_list, sk, class_ = struct.unpack_from("<4I", data, 36)
        longest_name, = struct.unpack_from("<H", data, 52)
        longest_class, longest_value, longest_data = struct.unpack_from("<III", data, 56)
        class_length, = struct.unpack_from("<H", data, 74)
        self.sk_users[sk] = self.sk_users.get(sk, 0) + 1
        if class_length == 0 and class_ != NIL or class_length and class_ == NIL:
            self.say(PAGE + key, "a class name of %d bytes at %#x" % (class_length, class_))
        elif class_length:
            self.take(class_, class_length, key, "a class name")
        if (values == 0) != (value_list == NIL):
            self.say(PAGE + key, "%d values in the list at %#x" % (values, value_list))
        elif values:
            self.check_values(key, values, value_list, longest_value, longest_data)
        if (subkeys == 0) != (list_ == NIL):
            self.say(PAGE + key, "%d subkeys in the list at %#x" % (subkeys, list_))
        elif subkeys:
            found = self.subkeys(key, list_)
            if len(found) != subkeys:
                self.say(PAGE + key, "%d subkeys counted, %d listed" % (subkeys, len(found)))
            before = None
            for child, hint, kind in found:
                header = self.check_child(key, child, hint, kind)
                if header is None:
                    continue
                name, child_class = header
                upper = self.upper(name)
                if before is not None and not before < upper:
                    what = "twice" if before == upper else "out of order"
                    self.say(PAGE + child, "a subkey %s: %s" % (what, bytes(struct.pack("<%dH" % len(name), *name))))
                before = upper
                if 2 * len(name) > longest_name:
                    self.say(PAGE + key, "longest subkey name %d, found %d" % (longest_name, 2 * len(name)))
                if child_class > longest_class:
                    self.say(PAGE + key, "longest class %d, found %d" % (longest_class, child_class))
                waiting.append((child, depth + 1))

    def check_child(self, key, child, hint, kind):
        data = self.take(child, 76, key, "a subkey")
        if data is None:
            return None
        header = self.key_header(child)
        if header is None:
            self.say(PAGE + child, "no key node with a name")
            return None
        name = header[0]
        if len(name) > 255 or 0x5C in name:
            self.say(PAGE + child, "a name that no key can have")
        if struct.unpack_from("<I", data, 16)[0] != key:
            self.say(PAGE + child, "its parent is %#x and not %#x" % (struct.unpack_from("<I", data, 16)[0], key))
        if kind == b"lh":
            wanted = 0
            for unit in self.upper(name):
                wanted = (wanted * 37 + unit) & NIL
            if hint != struct.pack("<I", wanted):
                self.say(PAGE + child, "hash %s instead of %08x" % (hint.hex(), wanted))
        if kind == b"lf":
            wanted = bytearray(4)
            for at in reversed(range(min(4, len(name)))):
                if name[at] > 0xFF:
                    break
                wanted[at] = name[at]
            if hint != bytes(wanted):
                self.say(PAGE + child, "hint %r instead of %r" % (hint, bytes(wanted)))
        return header

    def subkeys(self, key, offset, below_root=False):
        data = self.take(offset, 4, key, "a subkey list")
        if data is None:
            return []
        kind, (count,) = data[:2], struct.unpack_from("<H", data, 2)
        size = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(kind)
        if size is None or kind == b"ri" and below_root:
            self.say(PAGE + offset, "a subkey list that begins with %r" % kind)
            return []
        if 4 + count * size > len(data):
            self.say(PAGE + offset, "%d elements do not fit" % count)
            return []
        if count == 0:
            self.say(PAGE + offset, "an empty list")
        if count > 1013 and kind != b"ri":
            self.say(PAGE + offset, "a leaf of %d" % count)
        if kind == b"lh" and self.minor < 5 or kind == b"lf" and self.minor >= 5:
            self.say(PAGE + offset, "%r under minor version %d" % (kind, self.minor))
        if kind == b"li" and (not below_root or self.minor >= 5):
            self.say(PAGE + offset, "li that is no leaf of an old ri")
        elements = [data[4 + at * size:4 + (at + 1) * size] for at in range(count)]
        if kind != b"ri":
            return [(struct.unpack("<I", element[:4])[0], element[4:], kind) for element in elements]
        found = []
        for element in elements:
            found += self.subkeys(key, struct.unpack("<I", element)[0], True)
        return found

    # --- values

    def check_values(self, key, count, list_, longest_name, longest_data):
        data = self.take(list_, 4 * count, key, "a value list")
        if data is None:
            return
        seen = set()
        for value in struct.unpack_from("<%dI" % count, data):
            record = self.take(value, 20, key, "a value")
            if record is None:
                continue
            self.values += 1
            if record[:2] != b"vk":
                self.say(PAGE + value, "a value that begins with %r" % record[:2])
                continue
            name_length, size, where, _, flags = struct.unpack_from("<HIIIH", record, 2)
            if 20 + name_length > len(record):
                self.say(PAGE + value, "a name of %d bytes" % name_length)
                continue
            if name_length == 0 and flags & 1:
                self.say(PAGE + value, "the default value has the flag of a compressed name")
            name = self.units(record[20:20 + name_length], flags & 1, value)
            upper = self.upper(name)
            if upper in seen:
                self.say(PAGE + value, "a value twice")
            seen.add(upper)
            if 2 * len(name) > longest_name:
                self.say(PAGE + key, "longest value name %d, found %d" % (longest_name, 2 * len(name)))
            length = size & 0x7FFFFFFF
            if length > longest_data:
                self.say(PAGE + key, "longest data %d, found %d" % (longest_data, length))
            self.check_data(value, size, where, flags)

    def check_data(self, value, size, where, flags):
        length = size & 0x7FFFFFFF
        if size & 0x80000000:
            if length > 4:
                self.say(PAGE + value, "%d bytes inline" % length)
            elif any(struct.pack("<I", where)[length:]):
                self.say(PAGE + value, "inline data with something behind them")
            return
        if length == 0:
            if not flags & 2 or where != NIL:
                self.say(PAGE + value, "length 0 that is not inline")
            return
        if length <= 4:
            self.say(PAGE + value, "%d bytes that are not inline" % length)
        if length <= 16344 or self.minor < 4:
            self.take(where, length, value, "data")
            return
        head = self.take(where, 12, value, "big data")
        if head is None:
            return
        count, list_ = struct.unpack_from("<HI", head, 2)
        if head[:2] != b"db" or count != -(-length // 16344):
            self.say(PAGE + where, "%r with %d segments for %d bytes" % (head[:2], count, length))
            return
        segments = self.take(list_, 4 * count, where, "a list of segments")
        if segments is None:
            return
        for segment in struct.unpack_from("<%dI" % count, segments):
            if self.take(segment, 16344, where, "a segment") is not None and self.cells[segment] != 16348:
                self.say(PAGE + segment, "a segment in a cell of %d bytes" % (self.cells[segment] + 4))

    # --- security

    def check_security(self):
        if not self.sk_users:
            return
        at, before, seen, ring = self.root_sk, None, {}, set()
        while at not in ring:
            ring.add(at)
            data = self.take(at, 20, at, "a security record")
            if data is None or data[:2] != b"sk":
                self.say(PAGE + at, "no security record")
                return
            next_, previous, references, length = struct.unpack_from("<4I", data, 4)
            if before is not None and previous != before:
                self.say(PAGE + at, "the record before it is %#x, it says %#x" % (before, previous))
            if 20 + length > len(data):
                self.say(PAGE + at, "a descriptor of %d bytes" % length)
            descriptor = data[20:20 + length]
            if descriptor in seen:
                self.say(PAGE + at, "the same descriptor as at %#x" % seen[descriptor])
            seen[descriptor] = at
            if references != self.sk_users.get(at, 0):
                self.say(PAGE + at, "%d references, %d keys" % (references, self.sk_users.get(at, 0)))
            before, at = at, next_
        if at != self.root_sk:
            self.say(PAGE + at, "the ring of security records does not close")
        elif struct.unpack_from("<I", self.peek(at, 20), 8)[0] != before:
            self.say(PAGE + at, "the ring of security records is not closed backwards")
        for sk in self.sk_users:
            if sk not in ring:
                self.say(PAGE + sk if sk != NIL else 0, "a key's security record is not in the ring")


def main(arguments):
    upcase = list(range(0x10000))
    if arguments[:1] == ["--upcase"]:
        with open(arguments[1], "rb") as file:
            upcase = list(struct.unpack("<65536H", file.read()))
        arguments = arguments[2:]
    else:
        for unit in range(0x61, 0x7B):
            upcase[unit] = unit - 32
    status = 0
    for path in arguments:
        with open(path, "rb") as file:
            scanner = Scanner(file.read(), upcase)
        scanner.scan()
        for offset, text in scanner.findings:
            print("%s: %#x: %s" % (path, offset, text))
        status |= bool(scanner.findings)
        print("%s: %d keys, %d values, %d findings" % (path, scanner.keys, scanner.values, len(scanner.findings)))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
