//! Compile-time proof of a wire struct's layout: size, offsets, no gaps, no field forgotten.

/// Proves at compile time that `$ty` has exactly the listed fields at the listed offsets, with no padding.
///
/// Both sides compile the proof, so a wire that one of them sees differently does not build.
#[macro_export]
macro_rules! assert_layout {
    ($ty:ident, size = $size:literal, align = $align:literal,
     { $($field:ident : $fty:ty = $off:literal),+ $(,)? }) => {
        const _: () = {
            assert!(size_of::<$ty>() == $size, concat!(stringify!($ty), ": size"));
            assert!(align_of::<$ty>() == $align, concat!(stringify!($ty), ": align"));
            let mut end = 0;
            $(
                assert!(core::mem::offset_of!($ty, $field) == $off,
                    concat!(stringify!($ty), ".", stringify!($field), ": offset"));
                assert!(end == $off,
                    concat!(stringify!($ty), ".", stringify!($field), ": gap before field"));
                end = $off + size_of::<$fty>();
            )+
            assert!(end == $size, concat!(stringify!($ty), ": trailing padding"));
            // Exhaustive on purpose: a field not listed above is an error, and so is a changed type.
            let _complete = |v: $ty| { let $ty { $($field),+ } = v; $(let _: $fty = $field;)+ };
        };
    };
}
