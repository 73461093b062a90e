//! Where signals come from: the kernel and /proc, live. (A recording is the other source: `record::Recording`.)

mod canary;
pub mod live;
mod peek;
