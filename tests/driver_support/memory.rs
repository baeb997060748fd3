// SPDX-License-Identifier: GPL-3.0-or-later
//! A volume in memory: the least that an overlay needs below it.

use std::sync::Arc;

use transom::base::{
    BlobHash, DirEntry, Error, ErrorClass, FileAttributes, FileTime, Node, NodeId, Result, Stream,
    StreamKind, WinName, WinPath, name,
};
use transom::digest;
use transom::io::ReadAt;
use transom::volume::Volume;

struct Record {
    node: Node,
    entries: Vec<DirEntry>,
    parents: Vec<NodeId>,
    data: Arc<Vec<u8>>,
}

pub(crate) struct MemoryVolume(Vec<Record>);

impl Default for MemoryVolume {
    fn default() -> Self {
        Self(vec![Record::directory()])
    }
}

const CREATED: FileTime = FileTime(132_000_000_000_000_000);

impl Record {
    fn directory() -> Self {
        Self::new(FileAttributes::DIRECTORY, Vec::new(), Vec::new())
    }

    fn new(attributes: FileAttributes, streams: Vec<Stream>, data: Vec<u8>) -> Self {
        let node = Node {
            attributes,
            creation_time: CREATED,
            access_time: CREATED,
            write_time: CREATED,
            streams,
            ..Node::default()
        };
        Self { node, entries: Vec::new(), parents: Vec::new(), data: Arc::new(data) }
    }
}

impl MemoryVolume {
    /// Every missing directory of a path.
    pub(crate) fn directory(&mut self, path: &str) -> NodeId {
        let mut node = self.root();
        for component in WinPath::parse(path).unwrap().components() {
            node = match self.lookup(node, component.units()).unwrap() {
                Some(entry) => entry.node,
                None => self.add(node, component.clone(), Record::directory()),
            };
        }
        node
    }

    /// A file with its directories.
    pub(crate) fn file(&mut self, path: &str, bytes: Vec<u8>) {
        let path = WinPath::parse(path).unwrap();
        let folder = self.directory(&path.parent().unwrap().to_string());
        let hash: BlobHash = digest::blob_hash(&bytes);
        let stream = Stream {
            kind: StreamKind::Data,
            name: WinName::default(),
            length: bytes.len() as u64,
            hash: Some(hash),
        };
        let record = Record::new(FileAttributes::ARCHIVE, vec![stream], bytes);
        self.add(folder, path.file_name().unwrap().clone(), record);
    }

    /// A second name of a file.
    pub(crate) fn link(&mut self, file: &str, second: &str) {
        let node = transom::volume::resolve(&*self, &WinPath::parse(file).unwrap()).unwrap().unwrap();
        let second = WinPath::parse(second).unwrap();
        let folder = self.directory(&second.parent().unwrap().to_string());
        let entry = DirEntry { name: second.file_name().unwrap().clone(), short_name: None, node };
        self.0[folder.0 as usize].entries.push(entry);
        self.0[node.0 as usize].parents.push(folder);
    }

    fn add(&mut self, folder: NodeId, name: WinName, mut record: Record) -> NodeId {
        let node = NodeId(self.0.len() as u64);
        record.parents.push(folder);
        self.0.push(record);
        self.0[folder.0 as usize].entries.push(DirEntry { name, short_name: None, node });
        node
    }

    fn record(&self, id: NodeId) -> Result<&Record> {
        self.0
            .get(usize::try_from(id.0).unwrap_or(usize::MAX))
            .ok_or_else(|| Error::new(ErrorClass::Internal, format!("no node {id:?}")))
    }
}

impl Volume for MemoryVolume {
    fn root(&self) -> NodeId {
        NodeId(0)
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        Ok(self.record(id)?.node.clone())
    }

    fn entries(&self, dir: NodeId) -> Result<Vec<DirEntry>> {
        Ok(self.record(dir)?.entries.clone())
    }

    fn lookup(&self, dir: NodeId, wanted: &[u16]) -> Result<Option<DirEntry>> {
        let entries = &self.record(dir)?.entries;
        let exact = entries.iter().find(|entry| entry.name.units() == wanted);
        let found = exact.or_else(|| entries.iter().find(|entry| name::same(entry.name.units(), wanted)));
        Ok(found.cloned())
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        let mut links = Vec::new();
        for &parent in &self.record(id)?.parents {
            let entries = &self.record(parent)?.entries;
            links
                .extend(entries.iter().filter(|entry| entry.node == id).map(|entry| (parent, entry.clone())));
        }
        Ok(links)
    }

    fn open(&self, id: NodeId, _kind: StreamKind, _name: &[u16]) -> Result<Arc<dyn ReadAt>> {
        let data: Arc<dyn ReadAt> = self.record(id)?.data.clone();
        Ok(data)
    }
}
