// SPDX-License-Identifier: GPL-3.0-or-later
//! Documents, elements and what lies between them.

use std::borrow::Cow;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};

use super::Encoding;
use crate::base::{Error, ErrorClass};

/// Deeper documents are refused: no format read here nests further.
const MAX_DEPTH: usize = 256;

/// Why a text is no XML document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// The text breaks the rules of XML.
    #[error("XML is not well formed at character {offset}: {message}")]
    Malformed {
        /// Byte offset in the text as UTF-8.
        offset: u64,
        /// What is wrong.
        message: String,
    },
    /// No element at all.
    #[error("XML has no root element")]
    NoRoot,
    /// Too deep to be meant.
    #[error("XML elements nest deeper than {MAX_DEPTH} levels at character {offset}")]
    TooDeep {
        /// Byte offset in the text as UTF-8.
        offset: u64,
    },
}

impl From<XmlError> for Error {
    fn from(error: XmlError) -> Self {
        Self::new(ErrorClass::Corrupt, error.to_string())
    }
}

/// A whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    before: String,
    /// The root element.
    pub root: Element,
    after: String,
    /// How it was stored, and will be.
    pub encoding: Encoding,
}

/// One child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmlNode {
    /// An element.
    Element(Element),
    /// Character data as it stands in the source, references included.
    Text(String),
    /// A `CDATA` section as it stands in the source.
    CData(String),
    /// A comment or processing instruction as it stands in the source.
    Other(String),
}

/// An element: its tags as they stand in the source, and what is between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: String,
    namespace: Option<Arc<str>>,
    attributes: Vec<(String, String)>,
    start: String,
    /// Empty for `<name/>`.
    end: String,
    /// What is inside, in order.
    pub children: Vec<XmlNode>,
}

/// Prefixes (empty for the default) with their namespaces, innermost last.
type Scope = Vec<(String, Option<Arc<str>>)>;

impl Document {
    /// Reads a file in any encoding with a byte order mark, or UTF-8. NULs at the end are ignored.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, XmlError> {
        let (text, encoding) = Encoding::decode(bytes);
        let mut document = Self::parse(text.trim_end_matches('\0'))?;
        document.encoding = encoding;
        Ok(document)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        Parser { reader: Reader::from_str(text), text, scope: Vec::new() }.document()
    }

    /// A document that holds one element.
    pub fn new(root: Element) -> Self {
        Self { before: String::new(), root, after: String::new(), encoding: Encoding::Utf8 }
    }

    /// The file's bytes in the document's encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encoding.encode(&self.to_string())
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.root.write(&mut text);
        write!(formatter, "{}{text}{}", self.before, self.after)
    }
}

impl Element {
    /// An element without attributes and children.
    pub fn new(name: &str) -> Self {
        let mut element = Self {
            name: name.to_owned(),
            namespace: None,
            attributes: Vec::new(),
            start: String::new(),
            end: String::new(),
            children: Vec::new(),
        };
        element.rebuild_tags();
        element
    }

    /// An element that holds text.
    pub fn with_text(name: &str, text: &str) -> Self {
        let mut element = Self::new(name);
        element.set_text(text);
        element
    }

    /// The name with its prefix, as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without its prefix.
    pub fn local_name(&self) -> &str {
        self.name.rsplit_once(':').map_or(self.name.as_str(), |(_, local)| local)
    }

    /// The namespace that the prefix (or its absence) stands for.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The attributes in order: name as written, value with references resolved.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of an attribute, by its name as written.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes().find(|&(other, _)| other == name).map(|(_, value)| value)
    }

    /// Sets an attribute in its place, or adds it last.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) if old == value => return,
            Some((_, old)) => value.clone_into(old),
            None => self.attributes.push((name.to_owned(), value.to_owned())),
        }
        self.rebuild_tags();
    }

    /// The child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            XmlNode::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The child elements, to be changed.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|child| match child {
            XmlNode::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The first child element of a local name.
    pub fn child(&self, local_name: &str) -> Option<&Self> {
        self.elements().find(|element| element.local_name() == local_name)
    }

    /// The first child element of a local name, to be changed.
    pub fn child_mut(&mut self, local_name: &str) -> Option<&mut Self> {
        self.elements_mut().find(|element| element.local_name() == local_name)
    }

    /// Follows local names downwards, the first match at each step.
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The text directly inside, references resolved.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for child in &self.children {
            match child {
                // References were checked when the text was read.
                XmlNode::Text(raw) => text.push_str(&unescape(raw).unwrap_or(Cow::Borrowed(raw))),
                XmlNode::CData(raw) => {
                    let inner = raw.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>"));
                    text.push_str(inner.unwrap_or_default());
                }
                XmlNode::Element(_) | XmlNode::Other(_) => {}
            }
        }
        text
    }

    /// Replaces everything inside by a text.
    pub fn set_text(&mut self, text: &str) {
        self.children = vec![XmlNode::Text(escape(text).into_owned())];
        self.open();
    }

    /// Adds a child element last.
    pub fn push(&mut self, child: Self) {
        self.insert(self.children.len(), child);
    }

    /// Adds a child element before the child at `position`.
    pub fn insert(&mut self, position: usize, child: Self) {
        self.children.insert(position.min(self.children.len()), XmlNode::Element(child));
        self.open();
    }

    /// Turns `<name/>` into `<name></name>`.
    fn open(&mut self) {
        if self.end.is_empty() {
            self.rebuild_tags();
        }
    }

    fn rebuild_tags(&mut self) {
        self.start = format!("<{}", self.name);
        for (name, value) in &self.attributes {
            self.start.push_str(&format!(" {name}=\"{}\"", escape(value)));
        }
        self.start.push('>');
        self.end = format!("</{}>", self.name);
    }

    fn write(&self, output: &mut String) {
        output.push_str(&self.start);
        for child in &self.children {
            match child {
                XmlNode::Element(element) => element.write(output),
                XmlNode::Text(raw) | XmlNode::CData(raw) | XmlNode::Other(raw) => output.push_str(raw),
            }
        }
        output.push_str(&self.end);
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
    scope: Scope,
}

impl<'a> Parser<'a> {
    fn document(mut self) -> Result<Document, XmlError> {
        let mut open: Vec<(Element, usize)> = Vec::new();
        let mut root = None;
        let (mut before, mut after) = (String::new(), String::new());
        loop {
            let from = self.reader.buffer_position();
            let event = self
                .reader
                .read_event()
                .map_err(|error| XmlError::Malformed { offset: from, message: error.to_string() })?;
            let to = self.reader.buffer_position();
            let raw = self.source(from, to)?;
            let finished = match event {
                Event::Eof => break,
                Event::Start(start) => {
                    if open.len() >= MAX_DEPTH {
                        return Err(XmlError::TooDeep { offset: from });
                    }
                    let outer = self.scope.len();
                    open.push((self.element(&start, raw, from)?, outer));
                    None
                }
                Event::Empty(start) => {
                    let outer = self.scope.len();
                    let element = self.element(&start, raw, from)?;
                    self.scope.truncate(outer);
                    Some(element)
                }
                Event::End(_) => {
                    let Some((mut element, outer)) = open.pop() else {
                        return Err(malformed(from, "an element ends that was not begun"));
                    };
                    raw.clone_into(&mut element.end);
                    self.scope.truncate(outer);
                    Some(element)
                }
                Event::Text(_) | Event::GeneralRef(_) | Event::CData(_) if open.is_empty() => {
                    if !matches!(event, Event::Text(_)) || !raw.trim().is_empty() {
                        return Err(malformed(from, "text outside the root element"));
                    }
                    if root.is_none() {
                        before.push_str(raw)
                    } else {
                        after.push_str(raw)
                    }
                    None
                }
                Event::Text(_) | Event::GeneralRef(_) => {
                    unescape(raw).map_err(|error| malformed(from, &error.to_string()))?;
                    if let Some((element, _)) = open.last_mut() {
                        match element.children.last_mut() {
                            Some(XmlNode::Text(text)) => text.push_str(raw),
                            _ => element.children.push(XmlNode::Text(raw.to_owned())),
                        }
                    }
                    None
                }
                Event::CData(_) => {
                    if let Some((element, _)) = open.last_mut() {
                        element.children.push(XmlNode::CData(raw.to_owned()));
                    }
                    None
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                    match open.last_mut() {
                        Some((element, _)) => element.children.push(XmlNode::Other(raw.to_owned())),
                        None if root.is_none() => before.push_str(raw),
                        None => after.push_str(raw),
                    }
                    None
                }
            };
            if let Some(element) = finished {
                match open.last_mut() {
                    Some((parent, _)) => parent.children.push(XmlNode::Element(element)),
                    None if root.is_none() => root = Some(element),
                    None => return Err(malformed(from, "a second root element")),
                }
            }
        }
        if let Some((element, _)) = open.last() {
            return Err(malformed(self.text.len() as u64, &format!("<{}> is not closed", element.name)));
        }
        let root = root.ok_or(XmlError::NoRoot)?;
        Ok(Document { before, root, after, encoding: Encoding::Utf8 })
    }

    fn source(&self, from: u64, to: u64) -> Result<&'a str, XmlError> {
        let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        range
            .and_then(|(from, to)| self.text.get(from..to))
            .ok_or_else(|| malformed(from, "the reader lost its place"))
    }

    fn element(&mut self, start: &BytesStart<'_>, raw: &str, offset: u64) -> Result<Element, XmlError> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| malformed(offset, &error.to_string()))?;
            let name: &str = attribute.key.as_ref();
            let value = unescape(&attribute.value).map_err(|error| malformed(offset, &error.to_string()))?;
            if name == "xmlns" || name.starts_with("xmlns:") {
                let prefix = name.strip_prefix("xmlns:").unwrap_or_default();
                let uri = (!value.is_empty()).then(|| Arc::from(&*value));
                self.scope.push((prefix.to_owned(), uri));
            }
            attributes.push((name.to_owned(), value.into_owned()));
        }
        let qualified = start.name();
        let name: &str = qualified.as_ref();
        let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
        let namespace =
            self.scope.iter().rev().find(|(other, _)| other == prefix).and_then(|(_, uri)| uri.clone());
        Ok(Element {
            name: name.to_owned(),
            namespace,
            attributes,
            start: raw.to_owned(),
            end: String::new(),
            children: Vec::new(),
        })
    }
}

fn malformed(offset: u64, message: &str) -> XmlError {
    XmlError::Malformed { offset, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "<?xml version='1.0'?>\n<!-- c --><w:a xmlns:w='urn:w'  b = '1' c=\"&lt;2\">\
        t &amp; u<x xmlns='urn:x'/><![CDATA[<raw>]]><?pi  y?><e ></e ></w:a >\n";

    #[test]
    fn what_is_not_changed_is_written_as_it_was() {
        let document = Document::parse(ODD).unwrap();
        assert_eq!(document.to_string(), ODD);
        assert_eq!(document.root.name(), "w:a");
        assert_eq!(document.root.local_name(), "a");
        assert_eq!(document.root.namespace(), Some("urn:w"));
        assert_eq!(document.root.child("x").unwrap().namespace(), Some("urn:x"));
        assert_eq!(document.root.child("e").unwrap().namespace(), None);
        assert_eq!(
            document.root.attributes().collect::<Vec<_>>(),
            [("xmlns:w", "urn:w"), ("b", "1"), ("c", "<2")]
        );
        assert_eq!(document.root.text(), "t & u<raw>");
    }

    #[test]
    fn a_change_shows_in_its_place_only() {
        let mut document = Document::parse("<W><A>1</A><!--x--><B k='v'/><C/></W>").unwrap();
        document.root.child_mut("A").unwrap().set_text("2 < 3");
        document.root.child_mut("B").unwrap().set_attribute("n", "\"q\"");
        document.root.insert(0, Element::with_text("N", "new"));
        assert_eq!(
            document.to_string(),
            "<W><N>new</N><A>2 &lt; 3</A><!--x--><B k=\"v\" n=\"&quot;q&quot;\"></B><C/></W>"
        );
        assert_eq!(document.root.find(&["A"]).unwrap().text(), "2 < 3");
        assert_eq!(document.root.find(&["A", "B"]), None);
    }

    #[test]
    fn utf16_round_trips() {
        let mut bytes = vec![0xFF, 0xFE];
        bytes.extend("<WIM><N>\u{E9}\u{10410}</N></WIM>".encode_utf16().flat_map(u16::to_le_bytes));
        let document = Document::parse_bytes(&bytes).unwrap();
        assert_eq!(document.encoding, Encoding::Utf16Le);
        assert_eq!(document.to_bytes(), bytes);
        assert_eq!(document.root.child("N").unwrap().text(), "\u{E9}\u{10410}");
    }

    #[test]
    fn broken_documents_are_refused() {
        for text in ["", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&nope;</a>", "<a b='1' b='2'/>", "</a>"] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        assert_eq!(Document::parse(&deep), Err(XmlError::TooDeep { offset: 3 * MAX_DEPTH as u64 }));
    }
}
