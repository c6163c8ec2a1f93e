//! The text of Markdown ([CommonMark](https://spec.commonmark.org/) with tables, footnotes, strikethrough, task lists and front matter).

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::html;
use super::outline::{Extracted, Gap, Outline};

pub(super) fn extract(source: &str) -> Extracted {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut outline = Outline::default();
    let mut is_verbatim = false;
    let mut html_block = String::new();
    for event in Parser::new_ext(source, options) {
        match event {
            Event::Text(text) if is_verbatim => outline.verbatim(&text),
            Event::Text(text) => outline.prose(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => outline.verbatim(&text),
            Event::SoftBreak => outline.gap(Gap::Space),
            Event::HardBreak => outline.gap(Gap::Line),
            Event::Rule => outline.gap(Gap::Paragraph),
            Event::Html(text) => html_block.push_str(&text),
            // One tag without what it encloses: only a line break means something to the text.
            Event::InlineHtml(tag) if tag.to_ascii_lowercase().starts_with("<br") => outline.gap(Gap::Line),
            Event::InlineHtml(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
            Event::Start(tag) => {
                is_verbatim |= matches!(tag, Tag::CodeBlock(_) | Tag::MetadataBlock(_));
                open(&mut outline, &tag);
            }
            Event::End(tag) => {
                if matches!(tag, TagEnd::CodeBlock | TagEnd::MetadataBlock(_)) {
                    is_verbatim = false;
                }
                if tag == TagEnd::HtmlBlock {
                    html::extract_into(&mut outline, &std::mem::take(&mut html_block));
                }
                close(&mut outline, tag);
            }
        }
    }
    outline.finish(None)
}

fn open(outline: &mut Outline, tag: &Tag<'_>) {
    match tag {
        Tag::Heading { level, .. } => outline.open_heading(*level as usize),
        Tag::Item | Tag::TableRow | Tag::TableHead => outline.gap(Gap::Line),
        Tag::Paragraph | Tag::BlockQuote(_) | Tag::CodeBlock(_) | Tag::List(_) | Tag::Table(_) | Tag::HtmlBlock => {
            outline.gap(Gap::Line);
        }
        Tag::TableCell => outline.gap(Gap::Space),
        _ => {}
    }
}

fn close(outline: &mut Outline, tag: TagEnd) {
    match tag {
        TagEnd::Heading(_) => outline.close_heading(),
        TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead => outline.gap(Gap::Line),
        TagEnd::Paragraph
        | TagEnd::BlockQuote(_)
        | TagEnd::CodeBlock
        | TagEnd::List(_)
        | TagEnd::Table
        | TagEnd::HtmlBlock
        | TagEnd::FootnoteDefinition
        | TagEnd::MetadataBlock(_) => outline.gap(Gap::Paragraph),
        _ => {}
    }
}
