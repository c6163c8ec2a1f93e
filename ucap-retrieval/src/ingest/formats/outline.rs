//! Builds the plain text of a document and the outline of its headings.

use crate::record::Section;

/// The text of a document.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extracted {
    /// The title that the document gives itself: its `<title>`, else its first heading of the first level.
    pub title: Option<String>,
    /// The text, paragraphs apart by a blank line.
    pub body: String,
    /// The sections of the body.
    pub sections: Vec<Section>,
}

/// Headings deeper than this are nested no further.
const LEVELS: usize = 6;
/// The most of a heading that is repeated as context, in bytes.
const MAX_HEADING: usize = 120;

/// Takes the pieces of a document as they come.
#[derive(Debug, Default)]
pub(super) struct Outline {
    body: String,
    sections: Vec<Section>,
    /// The headings that lead to here, by level.
    path: Vec<(usize, String)>,
    /// The level of the heading that is open, and where its text begins.
    heading: Option<(usize, usize)>,
    first_heading: Option<String>,
    pending: Gap,
}

/// What is owed before the next text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

impl Outline {
    /// Adds prose, in which any run of white space is a space.
    pub(super) fn prose(&mut self, text: &str) {
        let mut words = text.split_ascii_whitespace();
        if text.starts_with(|c: char| c.is_ascii_whitespace()) {
            self.gap(Gap::Space);
        }
        if let Some(first) = words.next() {
            self.put(first);
            for word in words {
                self.gap(Gap::Space);
                self.put(word);
            }
            if text.ends_with(|c: char| c.is_ascii_whitespace()) {
                self.gap(Gap::Space);
            }
        }
    }

    /// Adds text as it stands (code, `<pre>`).
    pub(super) fn verbatim(&mut self, text: &str) {
        if !text.is_empty() {
            self.put(text);
        }
    }

    /// Asks for so much space before the next text.
    pub(super) fn gap(&mut self, gap: Gap) {
        self.pending = self.pending.max(gap);
    }

    fn put(&mut self, text: &str) {
        self.pay();
        self.body.push_str(text);
    }

    fn pay(&mut self) {
        let gap = std::mem::take(&mut self.pending);
        if self.body.is_empty() {
            return;
        }
        let breaks = self.body.bytes().rev().take(2).take_while(|byte| *byte == b'\n').count();
        match gap {
            Gap::None => {}
            Gap::Space if breaks > 0 => {}
            Gap::Space => self.body.push(' '),
            Gap::Line | Gap::Paragraph => {
                let wanted = if gap == Gap::Line { 1 } else { 2 };
                self.body.extend(std::iter::repeat_n('\n', wanted - breaks.min(wanted)));
            }
        }
    }

    /// Begins a heading; levels are 1 to 6.
    pub(super) fn open_heading(&mut self, level: usize) {
        self.close_heading();
        self.gap(Gap::Paragraph);
        self.pay();
        self.heading = Some((level.clamp(1, LEVELS), self.body.len()));
    }

    /// Ends the heading that is open.
    pub(super) fn close_heading(&mut self) {
        let Some((level, start)) = self.heading.take() else { return };
        self.gap(Gap::Paragraph);
        let text = self.body.get(start..).unwrap_or_default().trim().replace('\n', " ");
        if text.is_empty() {
            return;
        }
        if level == 1 {
            self.first_heading.get_or_insert_with(|| text.clone());
        }
        let heading = shortened(&text);
        self.path.retain(|&(above, _)| above < level);
        let above = self.path.iter().map(|(_, heading)| heading.as_str()).collect::<Vec<_>>().join(Section::SEPARATOR);
        self.sections.push(Section { start, above, heading: heading.clone() });
        self.path.push((level, heading));
    }

    pub(super) fn finish(mut self, title: Option<String>) -> Extracted {
        self.close_heading();
        self.body.truncate(self.body.trim_end().len());
        let title = title.filter(|title| !title.is_empty()).or(self.first_heading);
        Extracted { title, body: self.body, sections: self.sections }
    }
}

fn shortened(heading: &str) -> String {
    if heading.len() <= MAX_HEADING {
        return heading.to_owned();
    }
    let cut = heading.floor_char_boundary(MAX_HEADING);
    format!("{}…", heading.get(..cut).unwrap_or_default().trim_end())
}
