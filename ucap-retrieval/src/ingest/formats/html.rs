//! The text of HTML: the [tokenizer of the standard](https://html.spec.whatwg.org/multipage/parsing.html#tokenization), no tree. What a
//! reader does not see (scripts, styles, templates) is left out; elements that stand as blocks break the text into lines.

use std::cell::RefCell;

use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use super::outline::{Extracted, Gap, Outline};

pub(super) fn extract(source: &str) -> Extracted {
    let mut outline = Outline::default();
    let title = extract_into(&mut outline, source);
    outline.finish(title)
}

/// Adds the text of a page, or a piece of one, and returns its `<title>`.
pub(super) fn extract_into(outline: &mut Outline, source: &str) -> Option<String> {
    let sink = Reader(RefCell::new(State { outline: std::mem::take(outline), ..State::default() }));
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(source));
    while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    tokenizer.end();
    let state = tokenizer.sink.0.into_inner();
    *outline = state.outline;
    state.title.map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "))
}

struct Reader(RefCell<State>);

#[derive(Default)]
struct State {
    outline: Outline,
    title: Option<String>,
    in_title: bool,
    /// Inside `<script>` or `<style>`: their end tag is found by the tokenizer.
    in_raw: bool,
    /// How many `<template>` are open.
    templates: usize,
    /// How many `<pre>` are open.
    verbatim: usize,
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => state.text(&text),
            Token::TagToken(tag) => return state.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn text(&mut self, text: &str) {
        if self.in_title {
            self.title.get_or_insert_default().push_str(text);
        } else if self.in_raw || self.templates > 0 {
        } else if self.verbatim > 0 {
            self.outline.verbatim(text);
        } else {
            self.outline.prose(text);
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let opens = tag.kind == TagKind::StartTag;
        match name {
            "script" | "style" | "noframes" | "xmp" | "iframe" | "noembed" => {
                self.in_raw = opens;
                if opens {
                    return TokenSinkResult::RawData(if name == "script" {
                        RawKind::ScriptData
                    } else {
                        RawKind::Rawtext
                    });
                }
            }
            // A second title belongs to a drawing (SVG).
            "title" => {
                self.in_title = opens && self.title.is_none();
                if opens {
                    return TokenSinkResult::RawData(RawKind::Rcdata);
                }
            }
            "textarea" if opens => return TokenSinkResult::RawData(RawKind::Rcdata),
            "template" => self.templates = if opens { self.templates + 1 } else { self.templates.saturating_sub(1) },
            "pre" | "listing" => {
                self.verbatim = if opens { self.verbatim + 1 } else { self.verbatim.saturating_sub(1) };
                self.outline.gap(Gap::Paragraph);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if self.templates == 0 => {
                let level = name.bytes().last().map_or(1, |digit| usize::from(digit.saturating_sub(b'0')));
                if opens { self.outline.open_heading(level) } else { self.outline.close_heading() }
            }
            "br" | "li" | "dt" | "dd" | "tr" | "option" | "legend" | "caption" | "summary" => {
                self.outline.gap(Gap::Line)
            }
            "td" | "th" => self.outline.gap(Gap::Space),
            _ if is_block(name) => self.outline.gap(Gap::Paragraph),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "center"
            | "details"
            | "dialog"
            | "div"
            | "dl"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "head"
            | "header"
            | "hgroup"
            | "hr"
            | "html"
            | "main"
            | "menu"
            | "nav"
            | "ol"
            | "p"
            | "search"
            | "section"
            | "table"
            | "tbody"
            | "tfoot"
            | "thead"
            | "ul"
    )
}
