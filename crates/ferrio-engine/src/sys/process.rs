//! Processes as descriptors. Linux alone has them; elsewhere opening one fails.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::faults::{self, Call};
use crate::process::Exit;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags};

    faults::check_new(Call::PidfdOpen)?;
    let pid = Pid::from_raw(pid).ok_or(Errno::INVAL)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn wait_for(pidfd: BorrowedFd<'_>, pid: i32) -> io::Result<Exit> {
    use rustix::io::{Errno, retry_on_intr};
    use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};

    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let waited = retry_on_intr(|| {
        faults::check(Call::WaitId, pidfd)?;
        waitid(WaitId::PidFd(pidfd), options)
    });
    let (status, signal) = match waited {
        Ok(Some(status)) => (status.exit_status(), status.terminating_signal()),
        Ok(None) => return Ok(Exit::Running),
        Err(Errno::CHILD) => return Ok(Exit::Unknown),
        // Linux 5.3 has the descriptors and cannot wait for them.
        Err(Errno::INVAL) => {
            match retry_on_intr(|| waitpid(Pid::from_raw(pid), WaitOptions::NOHANG)) {
                Ok(Some((_, status))) => (status.exit_status(), status.terminating_signal()),
                Ok(None) => return Ok(Exit::Running),
                Err(Errno::CHILD) => return Ok(Exit::Unknown),
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match (status, signal) {
        (Some(status), _) => Exit::Status(status),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Running,
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn pidfd_open(_pid: i32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn wait_for(_pidfd: BorrowedFd<'_>, _pid: i32) -> io::Result<Exit> {
    Err(io::ErrorKind::Unsupported.into())
}
