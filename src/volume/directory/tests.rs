// SPDX-License-Identifier: GPL-3.0-or-later
//! What the writer keeps is what the volume reads, on every kind of file system at hand.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::escape::SIDECAR;
use super::*;
use crate::base::name::units;
use crate::base::{
    DirEntry, FileAttributes, FileTime, Node, NodeId, ReparseHeader, StreamKind, TaggedItem, WinName, WinPath,
};
use crate::io::read_vec;
use crate::volume::{Volume, resolve};

/// Folders on the file systems that are there: the disk's, and tmpfs.
fn folders() -> Vec<tempfile::TempDir> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let places = [target, PathBuf::from("/dev/shm"), PathBuf::from("/tmp")];
    places.iter().filter_map(|place| tempfile::tempdir_in(place).ok()).collect()
}

fn node(attributes: FileAttributes) -> Node {
    Node {
        attributes,
        creation_time: FileTime(132_000_000_000_000_001),
        access_time: FileTime(132_000_000_000_000_002),
        write_time: FileTime(132_000_000_000_000_003),
        security: Some(Arc::from(vec![7; 300])),
        unknown_0x54: 9,
        tagged_items: vec![TaggedItem { tag: TaggedItem::OBJECT_ID, data: Box::new([3; 64]) }],
        ..Node::default()
    }
}

fn find(volume: &DirectoryVolume, path: &str) -> NodeId {
    resolve(volume, &WinPath::parse(path).unwrap()).unwrap().unwrap()
}

/// All streams of a node with their bytes.
fn streams(volume: &DirectoryVolume, id: NodeId) -> Vec<(StreamKind, String, Vec<u8>)> {
    let node = volume.node(id).unwrap();
    let read = |stream: &crate::base::Stream| {
        let data = volume.open(id, stream.kind, stream.name.units()).unwrap();
        assert_eq!(data.len(), stream.length);
        (stream.kind, stream.name.to_string(), read_vec(&data, 0, data.len()).unwrap())
    };
    node.streams.iter().map(read).collect()
}

fn put_stream(writer: &DirectoryWriter, at: &LinuxPath, name: &str, bytes: &[u8]) {
    let mut open =
        writer.begin_stream(at, StreamKind::Data, &units(name), bytes.len() as u64, Carrier::File).unwrap();
    for piece in bytes.chunks(30_000) {
        writer.write_stream(&mut open, piece).unwrap();
    }
    writer.end_stream(open).unwrap();
}

#[test]
fn everything_comes_back() {
    for folder in folders() {
        let writer = DirectoryWriter::open(folder.path()).unwrap();
        let root = LinuxPath::default();
        let directory = writer.entry(&root, &units("Program Files")).unwrap();
        let file = writer.entry(&directory, &units("a/b")).unwrap();
        let second = writer.entry(&directory, &units("Second")).unwrap();
        let long_name = "\u{20AC}".repeat(200);
        let long = writer.entry(&directory, &units(&long_name)).unwrap();
        writer.make_directory(&directory).unwrap();
        let opened = writer.make_file(&file).unwrap();
        std::io::Write::write_all(&mut &opened, b"data").unwrap();
        put_stream(&writer, &file, "small", b"1");
        let large = vec![5; 100_000];
        put_stream(&writer, &file, "Large", &large);
        put_stream(&writer, &directory, "of a directory", b"2");
        let attributes = FileAttributes::HIDDEN | FileAttributes::READONLY;
        writer.keep(&file, Some(&opened), &node(attributes), &units("a/b"), None).unwrap();
        writer.link(&file, &second).unwrap();
        writer.keep_entry(&second, &units("Second"), &units("SECOND~1")).unwrap();
        drop(writer.make_file(&long).unwrap());
        let extreme = Node { write_time: FileTime(u64::MAX), ..node(FileAttributes::NORMAL) };
        writer.keep(&long, None, &extreme, &units(&long_name), Some(&units("LONG~1"))).unwrap();
        // The short name of a name that had to be shortened is read from the entry.
        writer.keep_entry(&long, &units(&long_name), &units("LONG~1")).unwrap();
        let (short, of_directory) = (units("PROGRA~1"), node(FileAttributes::DIRECTORY));
        writer.keep(&directory, None, &of_directory, &units("Program Files"), Some(&short)).unwrap();
        writer
            .keep(&root, None, &Node { tagged_items: Vec::new(), ..of_directory.clone() }, &[], None)
            .unwrap();
        assert_eq!(writer.finish().unwrap(), Sidecars::Written);

        let volume = DirectoryVolume::open(folder.path()).unwrap();
        let root = volume.node(volume.root()).unwrap();
        assert_eq!(root, Node { tagged_items: Vec::new(), ..of_directory.clone() });
        let entries = volume.entries(volume.root()).unwrap();
        let id = find(&volume, "PROGRAM FILES");
        let entry = DirEntry { name: "Program Files".into(), short_name: Some("PROGRA~1".into()), node: id };
        assert_eq!(entries, [entry]);
        assert_eq!(find(&volume, "progra~1"), id);
        let found = volume.node(id).unwrap();
        assert_eq!(found, Node { streams: found.streams.clone(), ..of_directory });
        assert_eq!(streams(&volume, id), [(StreamKind::Data, "of a directory".into(), b"2".to_vec())]);
        let names: Vec<(WinName, Option<WinName>)> =
            volume.entries(id).unwrap().into_iter().map(|entry| (entry.name, entry.short_name)).collect();
        let expected: [(WinName, Option<WinName>); 3] = [
            ("a/b".into(), None),
            ("Second".into(), Some("SECOND~1".into())),
            (long_name.as_str().into(), Some("LONG~1".into())),
        ];
        assert_eq!(names, expected);

        // Another volume that has not listed anything: the number alone says where the file is.
        let file = volume.lookup(id, &units("a/b")).unwrap().unwrap().node;
        let volume = DirectoryVolume::open(folder.path()).unwrap();
        let found = volume.node(file).unwrap();
        assert_eq!(found, Node { streams: found.streams.clone(), ..node(attributes) });
        let expected = [
            (StreamKind::Data, String::new(), b"data".to_vec()),
            (StreamKind::Data, "Large".into(), large),
            (StreamKind::Data, "small".into(), b"1".to_vec()),
        ];
        assert_eq!(streams(&volume, file), expected);
        let mut links: Vec<String> =
            volume.links(file).unwrap().iter().map(|(_, entry)| entry.name.to_string()).collect();
        links.sort();
        assert_eq!(links, ["Second", "a/b"]);
        let long = find(&volume, &format!("Program Files\\{long_name}"));
        assert_eq!(volume.node(long).unwrap().write_time, FileTime(u64::MAX));
        assert_eq!(volume.lookup(id, &units("nothing")).unwrap(), None);
    }
}

#[test]
fn reparse_points_come_back() {
    for folder in folders() {
        let writer = DirectoryWriter::open(folder.path()).unwrap();
        let root = LinuxPath::default();
        let (header, data) = link_target::from_linux(b"/t/Users", b"/t", LinkFixing::Fixed);
        let link = writer.entry(&root, &units("link")).unwrap();
        let form = writer.reparse_form(&link, header, &data, LinkFixing::Fixed);
        assert_eq!(form, ReparseForm::Link(b"Users".to_vec()));
        let kept = |header: ReparseHeader, attributes| Node {
            reparse: Some(header),
            attributes: FileAttributes::REPARSE_POINT | attributes,
            ..node(FileAttributes::empty())
        };
        writer.make_link(&link, b"Users", &data).unwrap();
        let of_link = kept(header, FileAttributes::DIRECTORY);
        writer.keep(&link, None, &of_link, &units("link"), None).unwrap();
        put_stream(&writer, &link, "beside", b"3");
        let cloud = ReparseHeader { tag: 0x9000_001A, reserved: 0, flags: 1 };
        let carried = writer.entry(&root, &units("carried")).unwrap();
        assert_eq!(writer.reparse_form(&carried, cloud, b"x", LinkFixing::Fixed), ReparseForm::Carried);
        drop(writer.make_file(&carried).unwrap());
        let large = vec![1; 16_000];
        writer.keep_reparse(&carried, cloud, &large).unwrap();
        let of_carried = kept(cloud, FileAttributes::ARCHIVE);
        writer.keep(&carried, None, &of_carried, &units("carried"), None).unwrap();
        writer.finish().unwrap();

        let volume = DirectoryVolume::open(folder.path()).unwrap();
        let id = find(&volume, "link");
        let found = volume.node(id).unwrap();
        assert_eq!(found, Node { streams: found.streams.clone(), ..of_link });
        let expected =
            [(StreamKind::Reparse, String::new(), data), (StreamKind::Data, "beside".into(), b"3".to_vec())];
        assert_eq!(streams(&volume, id), expected);
        assert_eq!(volume.entries(id).unwrap(), []);
        let id = find(&volume, "carried");
        let found = volume.node(id).unwrap();
        assert_eq!(found, Node { streams: found.streams.clone(), ..of_carried });
        let expected =
            [(StreamKind::Reparse, String::new(), large), (StreamKind::Data, String::new(), Vec::new())];
        assert_eq!(streams(&volume, id), expected);

        // The link leads elsewhere now: the old data counts no more.
        std::fs::remove_file(folder.path().join("link")).unwrap();
        symlink("elsewhere", folder.path().join("link")).unwrap();
        let volume = DirectoryVolume::open(folder.path()).unwrap();
        let (header, data) = link_target::from_linux(b"elsewhere", b"/t", LinkFixing::Fixed);
        let id = find(&volume, "link");
        assert_eq!(volume.node(id).unwrap().reparse, Some(header));
        assert_eq!(streams(&volume, id)[0].2, data);
    }
}

#[test]
fn foreign_directories_get_what_windows_would_give() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("Sub")).unwrap();
    std::fs::write(folder.path().join("Sub/file"), "x").unwrap();
    symlink("Sub", folder.path().join("to directory")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let set = std::fs::File::open(folder.path().join("Sub/file")).unwrap();
    set.set_modified(FileTime(132_000_000_000_000_000).into()).unwrap();
    let volume = DirectoryVolume::open(folder.path()).unwrap();
    let names: Vec<String> =
        volume.entries(volume.root()).unwrap().iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(names, ["Sub", "to directory"]);
    assert_eq!(volume.warnings().len(), 1, "{:?}", volume.warnings());
    let id = find(&volume, "SUB\\FILE");
    let time = FileTime(132_000_000_000_000_000);
    let expected = Node {
        attributes: FileAttributes::ARCHIVE,
        creation_time: time,
        access_time: time,
        write_time: time,
        ..Node::default()
    };
    let found = volume.node(id).unwrap();
    assert_eq!(found, Node { streams: found.streams.clone(), ..expected });
    assert_eq!(streams(&volume, id), [(StreamKind::Data, String::new(), b"x".to_vec())]);
    let link = volume.node(find(&volume, "to directory")).unwrap();
    assert_eq!(link.attributes, FileAttributes::DIRECTORY | FileAttributes::REPARSE_POINT);
    assert!(folder.path().join(SIDECAR).symlink_metadata().is_err());
}

#[test]
fn nothing_is_made_through_a_planted_link() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(outside.path().join("file"), folder.path().join("file")).unwrap();
    let writer = DirectoryWriter::open(folder.path()).unwrap();
    let root = LinuxPath::default();
    let out = writer.entry(&root, &units("out")).unwrap();
    let below = writer.entry(&out, &units("x")).unwrap();
    let file = writer.entry(&root, &units("file")).unwrap();
    assert!(writer.make_directory(&out).is_err());
    assert!(writer.make_directory(&below).is_err());
    assert!(writer.make_file(&below).is_err());
    assert!(writer.open_file(&file).is_err());
    // The link itself goes, not what it leads to.
    assert!(writer.make_file(&file).is_ok());
    assert!(writer.make_link(&below, b"x", b"").is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}
