//! Lists by id, a page at a time.

use ucap_core::{Error, ErrorKind};

/// The one answer to every cursor that is not the caller's for this list.
pub(crate) fn invalid_cursor() -> Error {
    let message = "the cursor is not one of yours for this list; begin again without cursor";
    Error::new(ErrorKind::InvalidCursor, message).with_param("cursor")
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Only what comes after this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Default for PageRequest {
    /// The first hundred.
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

/// A page of a list, in order of id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// The `after` of the next page; `None` at the end.
    pub next: Option<String>,
}

impl<T: Clone> Listed<T> {
    /// The page of `all`, which comes in order of id.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a T>, id: impl Fn(&T) -> &str, request: &PageRequest) -> Self
    where
        T: 'a,
    {
        let limit = request.limit.max(1);
        let after = |item: &&T| request.after.as_deref().is_none_or(|after| id(item) > after);
        let mut items: Vec<T> = all.filter(after).take(limit.saturating_add(1)).cloned().collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|item| id(item).to_owned());
        Self { items, next }
    }

    /// The same page of something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Listed<U> {
        Listed { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}
