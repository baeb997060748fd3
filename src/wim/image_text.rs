// SPDX-License-Identifier: GPL-3.0-or-later
//! What people write about an image in the XML: names, descriptions, the edition's flags.

use super::file::ImageIndex;
use super::gather::SourceImage;
use super::info::image_index;
use super::statistics::{Statistics, update_image};
use crate::base::name;
use crate::xml::{Document, Element, XmlNode};

/// Texts to set; what is nothing stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageText {
    /// NAME.
    pub name: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// FLAGS.
    pub flags: Option<String>,
    /// DISPLAYNAME.
    pub display_name: Option<String>,
    /// DISPLAYDESCRIPTION.
    pub display_description: Option<String>,
}

impl ImageText {
    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the elements; new ones come last, as Microsoft writes them.
    pub(super) fn apply(&self, image: &mut Element) {
        let texts = [
            ("NAME", &self.name),
            ("DESCRIPTION", &self.description),
            ("FLAGS", &self.flags),
            ("DISPLAYNAME", &self.display_name),
            ("DISPLAYDESCRIPTION", &self.display_description),
        ];
        for (element, text) in texts {
            let Some(text) = text else { continue };
            match image.child_mut(element) {
                Some(found) => found.set_text(text),
                None => image.push(Element::with_text(element, text)),
            }
        }
    }
}

/// The element of one image in a document.
pub(super) fn find(document: &mut Document, index: u32) -> Option<&mut Element> {
    document.root.elements_mut().find(|element| image_index(element) == Some(index))
}

/// Sets texts of an image; a document that says nothing of it gets an element.
pub(super) fn set(document: &mut Document, index: ImageIndex, text: &ImageText) {
    if find(document, index.number()).is_none() {
        let mut element = Element::new("IMAGE");
        element.set_attribute("INDEX", &index.number().to_string());
        push(document, element);
    }
    if let Some(element) = find(document, index.number()) {
        text.apply(element);
    }
}

/// Adds an element behind those of the other images.
pub(super) fn push(document: &mut Document, element: Element) {
    let last = document
        .root
        .children
        .iter()
        .rposition(|child| matches!(child, XmlNode::Element(element) if image_index(element).is_some()));
    let position = last.map_or(document.root.children.len(), |last| last + 1);
    document.root.insert(position, element);
}

/// Gives images their new numbers; takes out those that have none.
pub(super) fn renumber(document: &mut Document, new_index: impl Fn(ImageIndex) -> Option<u32>) {
    document.root.children.retain_mut(|child| {
        let XmlNode::Element(element) = child else { return true };
        let Some(index) = image_index(element).and_then(ImageIndex::new) else { return true };
        match new_index(index) {
            Some(number) if number == index.number() => true,
            Some(number) => {
                element.set_attribute("INDEX", &number.to_string());
                true
            }
            None => false,
        }
    });
}

/// The names of the images from number `first` on.
pub(super) fn names(document: &Document, first: u32) -> Vec<String> {
    let elements = document.root.elements();
    let wanted = elements.filter(|element| image_index(element).is_some_and(|index| index >= first));
    wanted.filter_map(|element| Some(element.find(&["NAME"])?.text())).collect()
}

/// Whether Windows takes two names for one.
pub(super) fn same_name(left: &str, right: &str) -> bool {
    name::same(&name::units(left), &name::units(right))
}

/// The element of an image for another file: all that its own file says of it, under a new number.
pub(super) fn image_element(image: &SourceImage, index: u32, text: &ImageText) -> Element {
    let number = image.index.number();
    let own = image.wim.inner().xml.as_ref();
    let own = own.and_then(|xml| xml.root.elements().find(|element| image_index(element) == Some(number)));
    let mut element = match own {
        Some(own) => {
            let mut element = own.clone();
            element.set_attribute("INDEX", &index.to_string());
            element
        }
        None => described(image, index),
    };
    text.apply(&mut element);
    element
}

/// The element of an image of this document for a copy of it, with texts that replace its own.
pub(super) fn copied(document: &Document, index: u32, text: &ImageText) -> Element {
    let own = document.root.elements().find(|element| image_index(element) == Some(index));
    let mut element = own.cloned().unwrap_or_else(|| Element::new("IMAGE"));
    text.apply(&mut element);
    element
}

/// An element for an image of which its file says nothing.
fn described(image: &SourceImage, index: u32) -> Element {
    let mut element = Element::new("IMAGE");
    element.set_attribute("INDEX", &index.to_string());
    let mut root = Element::new("WIM");
    root.push(element.clone());
    let mut document = Document::new(root);
    let modified = image.tree.dentry(0).map_or(0, |root| root.raw.write_time.get());
    let none = Statistics::default();
    update_image(&mut document, index, &none, &image.figures, crate::base::FileTime(modified));
    find(&mut document, index).map(|found| found.clone()).unwrap_or(element)
}
