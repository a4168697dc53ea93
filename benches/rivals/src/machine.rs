//! The machine on which a run was made, as far as it can be read.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What figures depend on besides the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// When, in UTC.
    pub date: String,
    /// Of the first CPU.
    pub cpu_model: String,
    /// CPUs that this process may use.
    pub cores: usize,
    /// Of the first CPU's frequency; `null` where the kernel does not tell, as in
    /// most virtual machines.
    pub governor: Option<String>,
    /// Whether the kernel runs under a hypervisor.
    pub virtual_machine: bool,
    /// Its release.
    pub kernel: String,
    /// Transparent huge pages, of private memory and of shared memory.
    pub huge_pages: String,
    /// The same of shared memory.
    pub huge_pages_shmem: String,
    /// What the kernel does against each fault of the CPU that the CPU has.
    pub mitigations: BTreeMap<String, String>,
    /// MiB.
    pub memory: u64,
    /// Runnable threads in the last minute before the end of the run: above 2 or so,
    /// others used the machine as well.
    pub load: Option<f64>,
    /// Whether the short way was taken.
    pub quick: bool,
}

impl Machine {
    /// Reads it.
    pub fn read(quick: bool) -> Self {
        let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = read_to_string("/proc/meminfo").unwrap_or_default();
        let flags = field(&cpuinfo, "flags").unwrap_or_default();
        let memory = field(&meminfo, "MemTotal").unwrap_or_default();
        Machine {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            // On ARM there is no such line.
            cpu_model: field(&cpuinfo, "model name").unwrap_or(std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            virtual_machine: flags.split(' ').any(|flag| flag == "hypervisor"),
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
            huge_pages: chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
            huge_pages_shmem: chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
            mitigations: mitigations(),
            memory: memory.trim_end_matches(" kB").parse().unwrap_or(0) / 1024,
            load: line("/proc/loadavg").and_then(|l| l.split(' ').next()?.parse().ok()),
            quick,
        }
    }

    /// In a few lines, for people.
    pub fn text(&self) -> String {
        let virtual_machine = if self.virtual_machine {
            " (virtual machine)"
        } else {
            ""
        };
        let load = self.load.map_or("unknown".to_owned(), |l| l.to_string());
        let mitigations: Vec<String> = self
            .mitigations
            .iter()
            .map(|(name, what)| format!("{name}: {what}"))
            .collect();
        format!(
            "{}; {} CPUs of {}{virtual_machine}, governor {}, {} MiB\n\
             Linux {}; huge pages: {}, shared: {}; load {load}{}\n\
             mitigations: {}",
            self.date,
            self.cores,
            self.cpu_model,
            self.governor.as_deref().unwrap_or("unknown"),
            self.memory,
            self.kernel,
            self.huge_pages,
            self.huge_pages_shmem,
            if self.quick { "; --quick" } else { "" },
            if mitigations.is_empty() {
                "none needed".to_owned()
            } else {
                mitigations.join("; ")
            },
        )
    }
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn line(path: &str) -> Option<String> {
    Some(read_to_string(path).ok()?.trim().to_owned())
}

/// The word in brackets.
fn chosen(path: &str) -> String {
    let words = line(path).unwrap_or_default();
    let chosen = words
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or("unknown".to_owned(), |(word, _)| word.to_owned())
}

fn mitigations() -> BTreeMap<String, String> {
    let folder = std::fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let entries = folder.into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| {
        let what = read_to_string(entry.path()).ok()?.trim().to_owned();
        Some((entry.file_name().to_string_lossy().into_owned(), what))
    });
    all.filter(|(_, what)| what != "Not affected").collect()
}

#[cfg(test)]
mod tests {
    use super::{Machine, field};

    #[test]
    fn this_machine_can_be_described() {
        let machine = Machine::read(true);
        assert!(machine.cores > 0 && machine.memory > 0 && !machine.kernel.is_empty());
        let text = machine.text();
        assert!(text.contains(&machine.kernel) && text.contains("--quick"));
    }

    #[test]
    fn fields_are_found() {
        let text = "processor\t: 0\nmodel name\t: A B: C\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A B: C"));
        assert_eq!(field(text, "flags"), None);
    }
}
