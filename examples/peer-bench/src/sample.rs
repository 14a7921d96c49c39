//! Measures the time that a block of reservations takes, and compares blocks.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The times of one block.
#[derive(Clone, Copy)]
pub struct Sample {
    cpu: Duration,
    wall: Duration,
}

/// The start of a block.
pub struct Began {
    cpu: Duration,
    wall: Instant,
}

impl Began {
    pub fn now() -> Self {
        Self {
            cpu: cpu_time(),
            wall: Instant::now(),
        }
    }

    pub fn sample(&self) -> Sample {
        Sample {
            cpu: cpu_time() - self.cpu,
            wall: self.wall.elapsed(),
        }
    }
}

/// Prints the medians over the blocks, and the medians of the ratios to the blocks of the same rounds in `to`.
pub fn report(name: &str, samples: &[Sample], to: &[Sample], reservations: usize) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / reservations as f64;
    let ratios = |of: fn(&Sample) -> Duration| {
        let ratios = samples
            .iter()
            .zip(to)
            .map(|(a, b)| of(a).as_secs_f64() / of(b).as_secs_f64());
        spread(ratios.collect())
    };
    let (cpu, least, most) = ratios(|sample| sample.cpu);
    let (wall, _, _) = ratios(|sample| sample.wall);
    let (cpu_each, _, _) = spread(samples.iter().map(|sample| each(sample.cpu)).collect());
    let (wall_each, _, _) = spread(samples.iter().map(|sample| each(sample.wall)).collect());
    println!(
        "{name:28} CPU {cpu_each:6.1} µs = {cpu:5.2} × ({least:.2}–{most:.2}), {:8.0} a second = {:5.2} ×",
        1e6 / wall_each,
        1.0 / wall
    );
}

/// Returns the median, the smallest and the largest value.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// The CPU time of all threads of the process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
