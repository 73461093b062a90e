//! Where signals come from: the kernel and /proc, live. (A recording is the other source: `record::Recording`.)

mod asker;
mod canary;
mod cgroups;
pub mod live;
mod peek;
mod wait;
