//! The events of an OSV range as half-open intervals of keys.
//!
//! Where events alternate (an introduction, then its fix or last affected version, and so on) they are read as the
//! intervals they list. Any other list is sorted and read as the [evaluation
//! algorithm](https://ossf.github.io/osv-schema/#evaluation) of the OSV schema says, an introduction before a fix at
//! the same version. An interval that contains nothing is dropped.

use super::{Ecosystem, VersionError, VersionKey};

/// One event of an OSV range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The first affected version; `"0"` is below every version.
    Introduced(&'a str),
    /// The first version that is not affected any more.
    Fixed(&'a str),
    /// The last affected version.
    LastAffected(&'a str),
    /// Versions from here on are not described by the range; `"*"` is above every version.
    Limit(&'a str),
}

/// The keys from `low` on and before `high`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Interval {
    /// The lowest key inside; empty is below every key.
    pub low: Vec<u8>,
    /// The lowest key above; `None` is unbounded.
    pub high: Option<Vec<u8>>,
}

impl Interval {
    /// Whether the key lies inside.
    pub fn contains(&self, key: &VersionKey) -> bool {
        self.low.as_slice() <= key.as_bytes() && self.high.as_deref().is_none_or(|high| key.as_bytes() < high)
    }

    fn is_empty(&self) -> bool {
        self.high.as_ref().is_some_and(|high| *high <= self.low)
    }
}

/// The interval that holds just this key: a listed version.
pub fn exact(key: VersionKey) -> Interval {
    let low = key.into_bytes();
    let high = successor(low.clone());
    Interval { low, high: Some(high) }
}

/// A range's events as intervals, in the order in which they are found; none for a range that affects nothing.
///
/// # Errors
///
/// [`VersionError::Unparsable`] at the first event that is not a version of this ecosystem: the range cannot be read
/// then, and the caller drops it (never its record). [`VersionError::Unsupported`] where the ecosystem has no order.
pub fn intervals(eco: Ecosystem, events: &[Event<'_>]) -> Result<Vec<Interval>, VersionError> {
    let mut bounds = Vec::with_capacity(events.len());
    let mut limit: Option<Option<Vec<u8>>> = None;
    for event in events {
        match *event {
            Event::Introduced("0") => bounds.push(Bound { at: Vec::new(), closes: false }),
            Event::Introduced(version) => bounds.push(Bound { at: eco.key(version)?.into_bytes(), closes: false }),
            Event::Fixed(version) => bounds.push(Bound { at: eco.key(version)?.into_bytes(), closes: true }),
            Event::LastAffected(version) => {
                bounds.push(Bound { at: successor(eco.key(version)?.into_bytes()), closes: true })
            }
            // Below any limit is inside: the highest one counts.
            Event::Limit("*") => limit = Some(None),
            Event::Limit(version) => {
                let key = eco.key(version)?.into_bytes();
                limit = match limit.take() {
                    None => Some(Some(key)),
                    Some(highest) => Some(highest.map(|highest| highest.max(key))),
                };
            }
        }
    }
    let alternating = bounds.iter().enumerate().all(|(i, bound)| bound.closes == (i % 2 == 1));
    if !alternating {
        bounds.sort_by(|a, b| (&a.at, a.closes).cmp(&(&b.at, b.closes)));
    }
    let mut found = walk(bounds);
    if let Some(Some(limit)) = limit {
        for interval in &mut found {
            interval.high = Some(interval.high.take().map_or_else(|| limit.clone(), |high| high.min(limit.clone())));
        }
    }
    found.retain(|interval| !interval.is_empty());
    Ok(found)
}

/// Where affected versions begin (at a key) or end (before a key).
struct Bound {
    at: Vec<u8>,
    closes: bool,
}

fn walk(bounds: Vec<Bound>) -> Vec<Interval> {
    let mut found = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for bound in bounds {
        if !bound.closes {
            open.get_or_insert(bound.at);
        } else if let Some(low) = open.take() {
            found.push(Interval { low, high: Some(bound.at) });
        }
    }
    found.extend(open.map(|low| Interval { low, high: None }));
    found
}

/// The next byte string after this one.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
