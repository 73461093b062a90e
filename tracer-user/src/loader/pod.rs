//! The promise aya asks for before it copies our structs to and from the kernel.

use tracer_common::{counters::Counters, maps::SnapshotPass, settings::Settings};

/// [`Settings`] as a global.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct SettingsPod(pub(super) Settings);

// SAFETY: repr(C) and nothing but u32, without padding (proven by assert_layout!).
unsafe impl aya::Pod for SettingsPod {}

/// [`Counters`] as a map value.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct CountersPod(pub(super) Counters);

// SAFETY: repr(C) and nothing but u64, without padding (proven by assert_layout!).
unsafe impl aya::Pod for CountersPod {}

/// [`SnapshotPass`] as a map value.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct SnapshotPassPod(pub(super) SnapshotPass);

// SAFETY: repr(C) and nothing but u32, without padding (proven by assert_layout!).
unsafe impl aya::Pod for SnapshotPassPod {}
