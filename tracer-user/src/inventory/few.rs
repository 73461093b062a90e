//! A list that mostly holds one thing: which then lies in it, without memory of its own.
#![forbid(unsafe_code)]

use std::ops::{Deref, DerefMut};

/// One thing, or none, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Few<T> {
    /// Exactly one.
    One(T),
    /// Any other number.
    More(Box<[T]>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::More(Box::default())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(all) => all,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::More(all) => all,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        let mut all = iter.into_iter();
        let Some(first) = all.next() else {
            return Self::default();
        };
        match all.next() {
            None => Self::One(first),
            Some(second) => Self::More([first, second].into_iter().chain(all).collect()),
        }
    }
}

impl<T> Few<T> {
    /// Changes how many there are.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Vec<T>)) {
        let mut all = match std::mem::take(self) {
            Self::One(one) => vec![one],
            Self::More(all) => all.into_vec(),
        };
        change(&mut all);
        *self = all.into_iter().collect();
    }

    /// Adds one at the end.
    pub(super) fn push(&mut self, new: T) {
        if self.is_empty() {
            *self = Self::One(new);
        } else {
            self.edit(|all| all.push(new));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many_are_the_list_they_were_made_of() {
        for length in 0..5 {
            let few: Few<u32> = (0..length).collect();
            assert_eq!(*few, *(0..length).collect::<Vec<_>>());
            assert_eq!(matches!(few, Few::One(_)), length == 1);
        }
        let mut few = Few::default();
        few.push(1);
        assert_eq!(few, Few::One(1));
        few.push(2);
        few.edit(|all| all.retain(|one| *one == 2));
        assert_eq!(few, Few::One(2));
        few.edit(Vec::clear);
        assert!(few.is_empty());
    }

    #[test]
    fn one_takes_no_more_room_than_itself() {
        assert_eq!(size_of::<Few<std::net::IpAddr>>(), 24);
        assert_eq!(size_of::<Few<super::super::Tenant>>(), 24);
        assert_eq!(size_of::<Few<std::sync::Arc<u8>>>(), 16);
    }
}
