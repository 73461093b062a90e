//! What live tests share on a machine: the right to be the only one who uses etcd's port.

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};

/// `verify` judges the whole machine, so a test of it must not meet another test's clients of 2379.
///
/// Every test that uses that port holds this, most of them shared. The kernel frees it when a test is killed.
#[derive(Debug)]
pub struct EtcdPort(#[expect(dead_code, reason = "held, never read")] File);

impl EtcdPort {
    /// Waits until nobody has it alone.
    pub fn shared() -> Result<Self> {
        Self::lock(FlockOperation::LockShared)
    }

    /// Waits until nobody has it.
    pub fn alone() -> Result<Self> {
        Self::lock(FlockOperation::LockExclusive)
    }

    fn lock(operation: FlockOperation) -> Result<Self> {
        let path = std::env::temp_dir().join("kcn-trace-tests.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        flock(&file, operation).with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self(file))
    }
}
