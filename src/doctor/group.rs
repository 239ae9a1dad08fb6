//! How much memory the control group of this process may use (cgroups(7)).
//!
//! Owns where that stands, for both versions. It must not judge. Invariant: of a group and those
//! above it the least counts.

use super::readings::{Source, number};

/// What is above this is no limit: version 1 has no other word for that.
const LIMIT_MAX: u64 = 1 << 62;

/// The limits of a group; of each the least of it and of those above it that can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Above this the kernel ends a process of it, bytes.
    pub max_bytes: Option<u64>,
    /// Above this the kernel slows it down, bytes; version 2 only.
    pub high_bytes: Option<u64>,
    /// Version 2, where what sockets hold counts, too.
    pub counts_sockets: bool,
}

impl Group {
    /// The group of this process; `None` where there are no groups for memory, or none is seen.
    #[must_use]
    pub fn of_files(read: Source<'_>) -> Option<Self> {
        let groups = read("/proc/self/cgroup")?;
        let mounts = read("/proc/self/mounts")?;
        let first = groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let memory = controllers.split(',').any(|name| name == "memory");
            memory.then_some(path)
        });
        if let Some((path, mount)) = first.zip(mounted(&mounts, "cgroup", "memory")) {
            let name = "memory.limit_in_bytes";
            return Some(Self {
                max_bytes: least(read, mount, path, name),
                ..Self::default()
            });
        }
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mount = mounted(&mounts, "cgroup2", "")?;
        Some(Self {
            max_bytes: least(read, mount, path, "memory.max"),
            high_bytes: least(read, mount, path, "memory.high"),
            counts_sockets: true,
        })
    }
}

/// Where a file system of this kind is mounted, with this among its options.
fn mounted<'a>(mounts: &'a str, kind: &str, option: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, what, options) = (words.next()?, words.next()?, words.next()?);
        let has = option.is_empty() || options.split(',').any(|word| word == option);
        (what == kind && has).then_some(place)
    })
}

/// The least number in the files of this name, from the group at `path` up to the mount. In a
/// container the path may be that of the host; its own group is then the mount itself.
fn least(read: Source<'_>, mount: &str, path: &str, name: &str) -> Option<u64> {
    let mut path = path.trim_end_matches('/');
    let mut found: Option<u64> = None;
    loop {
        let limit = read(&format!("{mount}{path}/{name}"))
            .and_then(|text| number(text.trim()))
            .filter(|limit| *limit < LIMIT_MAX);
        found = found.into_iter().chain(limit).min();
        match path.rfind('/') {
            Some(at) => path = path.get(..at).unwrap_or_default(),
            None => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system that has these files and no others.
    fn of(files: &[(&str, &str)]) -> Option<Group> {
        Group::of_files(&|path| {
            let mut all = files.iter();
            let found = all.find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    const SECOND: (&str, &str) = (
        "/proc/self/mounts",
        "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
    );
    const FIRST: (&str, &str) = (
        "/proc/self/mounts",
        "cgroup /cg/cpu cgroup rw,cpu 0 0\ncgroup /cg/memory cgroup rw,memory 0 0\n\
         cgroup2 /cg/unified cgroup2 rw 0 0\n",
    );

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let group = of(&[
            SECOND,
            ("/proc/self/cgroup", "0::/system.slice/adieu.service\n"),
            (
                "/sys/fs/cgroup/system.slice/adieu.service/memory.max",
                "67108864\n",
            ),
            (
                "/sys/fs/cgroup/system.slice/adieu.service/memory.high",
                "8388608\n",
            ),
            ("/sys/fs/cgroup/system.slice/memory.max", "33554432\n"),
            ("/sys/fs/cgroup/system.slice/memory.high", "max\n"),
        ]);
        let group = group.unwrap();
        assert_eq!(group.max_bytes, Some(32 << 20));
        assert_eq!(group.high_bytes, Some(8 << 20));
        assert!(group.counts_sockets);
    }

    #[test]
    fn in_a_container_the_mount_is_its_group() {
        let group = of(&[
            SECOND,
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.max", "16777216\n"),
        ]);
        assert_eq!(group.unwrap().max_bytes, Some(16 << 20));
        let group = of(&[
            FIRST,
            (
                "/proc/self/cgroup",
                "4:cpu:/\n3:hugetlb,memory:/docker/4f\n0::/\n",
            ),
            ("/cg/memory/memory.limit_in_bytes", "67108864\n"),
        ]);
        assert_eq!(
            group,
            Some(Group {
                max_bytes: Some(64 << 20),
                high_bytes: None,
                counts_sockets: false,
            })
        );
    }

    #[test]
    fn no_limit_is_none_and_no_group_is_unknown() {
        let unlimited = (
            "/cg/memory/a/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        let path = ("/proc/self/cgroup", "3:memory:/a\n");
        assert_eq!(of(&[FIRST, path, unlimited]), Some(Group::default()));
        let group = of(&[SECOND, ("/proc/self/cgroup", "0::/a\n")]).unwrap();
        assert_eq!((group.max_bytes, group.high_bytes), (None, None));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[SECOND, ("/proc/self/cgroup", "")]), None);
        assert_eq!(
            of(&[SECOND, ("/proc/self/cgroup", "garbage\n:\n::\n0:\n")]),
            None
        );
        assert_eq!(
            of(&[
                ("/proc/self/mounts", "a\nb c\n"),
                ("/proc/self/cgroup", "0::/")
            ]),
            None
        );
        let garbage = ("/sys/fs/cgroup/a/memory.max", "-5 much\n");
        let path = ("/proc/self/cgroup", "0::/a\n");
        assert_eq!(of(&[SECOND, path, garbage]).unwrap().max_bytes, None);
    }
}
