//! Ctrl-C as something to wait for, so that what was started is also taken down.

use anyhow::{Result, bail};
use std::mem::MaybeUninit;
use std::ptr;

/// The interrupt signal, held back from ending this process.
#[derive(Clone, Copy)]
pub struct Interrupt(libc::sigset_t);

/// Holds the signal back from this thread and all that it starts. Child processes get it as usual: the standard
/// library unblocks signals for them.
pub fn block_interrupt() -> Result<Interrupt> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to a whole sigset_t, which this call initialises.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised above.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the set is initialised and the signal number exists.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set is initialised, and the old mask is not asked for.
    let errno = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    if errno != 0 {
        bail!(
            "cannot block Ctrl-C: {}",
            std::io::Error::from_raw_os_error(errno)
        );
    }
    Ok(Interrupt(set))
}

impl Interrupt {
    /// Waits until it comes.
    pub fn wait(self) -> Result<()> {
        let mut signal = 0;
        // SAFETY: both pointers are to whole values of the right types, for the length of the call.
        let errno = unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
        if errno != 0 {
            bail!(
                "cannot wait for Ctrl-C: {}",
                std::io::Error::from_raw_os_error(errno)
            );
        }
        Ok(())
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}
