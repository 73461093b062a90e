//! Waits for records: until a timer runs out, or the kernel side says that the ring is half full.
#![forbid(unsafe_code)]

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{Timespec, epoll},
    io::Errno,
};

/// The ring as something to wait for.
#[derive(Debug)]
pub(super) struct Waiter {
    epoll: OwnedFd,
    /// Times it waited.
    pub(super) waits: u64,
    /// Times the ring ended the wait, and not the timer.
    pub(super) woken: u64,
}

impl Waiter {
    /// Edge-triggered: the kernel says that a ring is readable while it has anything unread, so `poll` returned at once
    /// under load and the timer meant nothing. An edge is a wake-up, and the programs give one when the ring is half full.
    ///
    /// # Errors
    /// When the kernel has no room for it.
    pub(super) fn new(ring: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, ring, epoll::EventData::new_u64(0), edges)?;
        Ok(Self {
            epoll,
            waits: 0,
            woken: 0,
        })
    }

    /// Waits for at most `most`. A signal ends it too.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: most.as_secs().cast_signed(),
            tv_nsec: most.subsec_nanos().into(),
        };
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        self.waits += 1;
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok(ready) => {
                self.woken += u64::from(ready > 0);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn what_is_unread_does_not_end_the_wait_but_a_wake_up_does() {
        let ring = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let mut waiter = Waiter::new(ring.as_fd()).unwrap();
        let woken = |waiter: &mut Waiter| {
            waiter.wait(Duration::from_millis(1)).unwrap();
            waiter.woken
        };
        assert_eq!(woken(&mut waiter), 0);
        rustix::io::write(&ring, &1_u64.to_ne_bytes()).unwrap();
        assert_eq!(woken(&mut waiter), 1);
        assert_eq!(woken(&mut waiter), 1, "it is still readable");
        rustix::io::write(&ring, &1_u64.to_ne_bytes()).unwrap();
        assert_eq!(woken(&mut waiter), 2);
        assert_eq!(waiter.waits, 4);
    }
}
