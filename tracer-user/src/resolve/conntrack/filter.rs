//! A filter in the kernel, so that only translated TCP connections wake anybody: on a busy node they are few of many.
//!
//! Classic BPF on the netlink socket. News come one to a datagram, which is what it looks at; a dump packs many into one,
//! so the socket of a dump goes without.
#![expect(
    unsafe_code,
    reason = "the option takes a pointer, and no crate offers it with a safe signature"
)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use super::codec::{
    ATTRIBUTES, CTA_PROTO_NUM, CTA_STATUS, CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, IPPROTO_TCP, TRANSLATED,
};

/// `SKF_AD_OFF + SKF_AD_NLATTR`: the offset of the attribute X from offset A on, 0 for none; `include/uapi/linux/filter.h`.
const FIND: u32 = 0xffff_f000 + 12;
/// The same with `SKF_AD_NLATTR_NEST`: within the attribute at offset A.
const FIND_WITHIN: u32 = 0xffff_f000 + 16;
/// An attribute's payload comes after its header.
const PAYLOAD: u32 = 4;

/// `struct sock_filter` as libc has it: code, jump if true, jump if false, operand.
const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// `BPF_LD | BPF_IMM`, `BPF_LDX | BPF_IMM`, `BPF_LD | BPF_W | BPF_ABS`, `BPF_MISC | BPF_TAX`, `BPF_LD | BPF_{W,B} | BPF_IND`,
/// `BPF_JMP | BPF_{JEQ,JSET} | BPF_K`, `BPF_RET | BPF_K`.
const SET_A: u16 = 0x00;
const SET_X: u16 = 0x01;
const LOAD: u16 = 0x20;
const A_TO_X: u16 = 0x07;
const WORD_AT_X: u16 = 0x40;
const BYTE_AT_X: u16 = 0x50;
const IF_EQUAL: u16 = 0x15;
const IF_ANY: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Drops what is surely not TCP or surely not translated; what cannot be told passes.
static PROGRAM: [libc::sock_filter; 20] = [
    instruction(SET_A, 0, 0, ATTRIBUTES),
    instruction(SET_X, 0, 0, CTA_STATUS as u32),
    instruction(LOAD, 0, 0, FIND),
    instruction(IF_EQUAL, 14, 0, 0),
    instruction(A_TO_X, 0, 0, 0),
    instruction(WORD_AT_X, 0, 0, PAYLOAD),
    instruction(IF_ANY, 0, 12, TRANSLATED),
    instruction(SET_A, 0, 0, ATTRIBUTES),
    instruction(SET_X, 0, 0, CTA_TUPLE_ORIG as u32),
    instruction(LOAD, 0, 0, FIND),
    instruction(IF_EQUAL, 7, 0, 0),
    instruction(SET_X, 0, 0, CTA_TUPLE_PROTO as u32),
    instruction(LOAD, 0, 0, FIND_WITHIN),
    instruction(SET_X, 0, 0, CTA_PROTO_NUM as u32),
    instruction(LOAD, 0, 0, FIND_WITHIN),
    instruction(A_TO_X, 0, 0, 0),
    instruction(BYTE_AT_X, 0, 0, PAYLOAD),
    instruction(IF_EQUAL, 0, 1, IPPROTO_TCP as u32),
    instruction(RETURN, 0, 0, u32::MAX),
    instruction(RETURN, 0, 0, 0),
];

/// Attaches the filter.
///
/// # Errors
/// What the kernel said; without the filter there is only more to read.
pub(super) fn attach(socket: impl AsFd) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(PROGRAM.len()).map_err(io::Error::other)?,
        // The kernel only reads it.
        filter: PROGRAM.as_ptr().cast_mut(),
    };
    let length = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).map_err(io::Error::other)?;
    // SAFETY: the option takes a `sock_fprog` of this length, whose pointer is to `len` instructions that live for ever;
    // the kernel copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
