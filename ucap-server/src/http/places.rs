//! Places for ingests: so many at once, and of them no more than a share for each principal, so that one who uploads
//! slowly, or not at all any more, leaves room for the others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use ucap_core::{Error, ErrorKind, Result};

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    share: usize,
    /// Those that are taken, by principal; nobody is in it with none.
    taken: Mutex<HashMap<String, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    whose: String,
}

impl Places {
    /// `all` places, of which a principal may have `share` at once.
    pub(super) fn new(all: usize, share: usize) -> Self {
        Self { all, share, taken: Mutex::new(HashMap::new()) }
    }

    /// Takes a place for `whose`.
    ///
    /// # Errors
    /// `Overloaded` when all are taken, or all that a principal may have.
    pub(super) fn take(self: &Arc<Self>, whose: &str) -> Result<Place> {
        let mut taken = self.taken.lock();
        let refused = |message: &str| Err(Error::new(ErrorKind::Overloaded, message));
        if taken.get(whose).is_some_and(|own| *own >= self.share) {
            return refused("too many ingests of yours run at once; try again when one has ended");
        }
        if taken.values().sum::<usize>() >= self.all {
            return refused("too many ingests run at once; try again in a moment");
        }
        *taken.entry(whose.to_owned()).or_default() += 1;
        Ok(Place { places: Arc::clone(self), whose: whose.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(own) = taken.get_mut(&self.whose) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_a_share_and_all_no_more_than_there_are() {
        let places = Arc::new(Places::new(3, 2));
        let ana: Vec<Place> = (0..2).map(|_| places.take("ana").unwrap()).collect();
        assert_eq!(places.take("ana").unwrap_err().kind(), ErrorKind::Overloaded);
        let bea = places.take("bea").unwrap();
        assert_eq!(places.take("bea").unwrap_err().kind(), ErrorKind::Overloaded);
        assert_eq!(places.take("eve").unwrap_err().kind(), ErrorKind::Overloaded);
        drop(ana);
        drop((places.take("eve").unwrap(), places.take("ana").unwrap()));
        drop(bea);
        assert!(places.taken.lock().is_empty(), "who has none is forgotten");
    }
}
