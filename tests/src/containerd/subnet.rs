//! Pod networks that no two labs of a machine have at the same time.

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};

/// How many labs can run at the same time.
const LABS: u8 = 32;

/// The right to use 10.244.N.0/24. The kernel gives it back when a test is killed.
#[derive(Debug)]
pub(super) struct Subnet {
    number: u8,
    #[expect(dead_code, reason = "held, never read")]
    lock: File,
}

impl Subnet {
    /// Takes the first that is free. 10.244.0.0/24 is left out: many a machine's own pods have it.
    pub(super) fn take() -> Result<Self> {
        for number in 1..=LABS {
            let path = std::env::temp_dir().join(format!("kcn-trace-tests-subnet-{number}.lock"));
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .with_context(|| format!("cannot open {}", path.display()))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { number, lock }),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
            }
        }
        bail!("{LABS} labs run on this machine already")
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }
}
