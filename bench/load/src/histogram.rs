//! Latencies in buckets that grow with the value: about 1 % wide everywhere, so a percentile is as
//! exact at 20 µs as at 2 s, in 30 KiB and a few nanoseconds a sample.

use std::time::Duration;

/// Buckets per power of two.
const RESOLUTION_BITS: u32 = 6;
const RESOLUTION: u64 = 1 << RESOLUTION_BITS;

#[derive(Clone)]
pub(crate) struct Histogram {
    /// `counts[bucket_of(n)]` is how many samples of about `n` nanoseconds there were.
    counts: Vec<u64>,
    samples: u64,
    max: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        let buckets = bucket_of(u64::MAX) + 1;
        Self { counts: vec![0; buckets], samples: 0, max: Duration::ZERO }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        // Only a latency of 584 years does not fit; it may be counted as that.
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanos)] += 1;
        self.samples += 1;
        self.max = self.max.max(latency);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.samples += other.samples;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// The latency that `fraction` (0 to 1) of the samples do not exceed; zero without samples.
    pub(crate) fn quantile(&self, fraction: f64) -> Duration {
        let rank = (self.samples as f64 * fraction).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Duration::from_nanos(upper_edge(bucket)).min(self.max);
            }
        }
        Duration::ZERO
    }
}

/// Values below `RESOLUTION` have a bucket each; above, the leading `RESOLUTION_BITS + 1` bits name it.
fn bucket_of(nanos: u64) -> usize {
    let Some(exponent) = nanos.checked_ilog2().and_then(|log| log.checked_sub(RESOLUTION_BITS))
    else {
        return nanos as usize;
    };
    (u64::from(exponent) * RESOLUTION + (nanos >> exponent)) as usize
}

/// The largest value that falls into `bucket`.
fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * RESOLUTION {
        return bucket;
    }
    let exponent = bucket / RESOLUTION - 1;
    let leading = bucket % RESOLUTION + RESOLUTION;
    (((u128::from(leading) + 1) << exponent) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_its_bucket() {
        for shift in 0..64 {
            for near in [0u64, 1, 2] {
                let value = (1u64 << shift).saturating_add(near).saturating_sub(1);
                let bucket = bucket_of(value);
                assert!(upper_edge(bucket) >= value, "{value}");
                assert!(bucket == 0 || upper_edge(bucket - 1) < value, "{value}");
            }
        }
        assert_eq!(upper_edge(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_exact_to_two_per_cent() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        let median = histogram.quantile(0.5).as_secs_f64();
        assert!((median / 500e-6 - 1.0).abs() < 0.02, "{median}");
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
        assert_eq!(histogram.max(), Duration::from_millis(1));
    }

    #[test]
    fn without_samples_every_quantile_is_zero() {
        assert_eq!(Histogram::new().quantile(0.99), Duration::ZERO);
    }
}
