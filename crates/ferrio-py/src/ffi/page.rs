//! Has the library's code begin at a page of the file.
//!
//! LLD lets the end of one segment and the beginning of the next share a page of the file, so that
//! code begins in the middle of a page. The libunwind in `py-spy --native` takes the beginning of
//! the mapping for that of the code, finds nothing where it looks, and gives up on the whole
//! process. A section of code that wants a page's boundary moves all of them there. Where `.init` comes
//! before it (glibc's own start files, which are not zig's), the linker is told by build.rs.

#[cfg(target_os = "linux")]
std::arch::global_asm!(
    // R: nobody refers to it, and the linker is to keep it all the same.
    ".pushsection .text.ferrio_page, \"axR\", %progbits",
    ".p2align 12",
    ".byte 0",
    ".popsection",
);
