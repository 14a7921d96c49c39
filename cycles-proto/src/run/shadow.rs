//! Steps of a run in shadow mode: they begin in any case.

use super::Draws;
use crate::with_cycles_config::OnError;

impl Draws {
    /// Like [`draw`](Self::draw), but begins the step in any case: it draws what is left, if that is less than its
    /// estimate. Also returns how much was missing.
    pub(crate) fn draw_what_is_left(
        &mut self,
        estimate: i64,
        name: Option<&str>,
        keep: Option<u64>,
        on_error: Option<OnError>,
    ) -> (u64, i64) {
        let left = keep.map_or_else(|| self.left(), |keep| self.left_of(keep)).max(0);
        let drawn = estimate.min(left);
        if let Some(kept) = keep.and_then(|keep| self.keeps.get_mut(&keep)) {
            *kept -= drawn;
            self.kept_sum -= drawn;
        }
        let number = self.begin(estimate, drawn, name, keep, on_error);
        (number, estimate - drawn)
    }

    /// Like [`keep`](Self::keep), but keeps what is left, if that is less. Also returns how much was missing.
    pub(crate) fn keep_what_is_left(&mut self, amount: i64) -> (u64, i64) {
        let kept = amount.min(self.left().max(0));
        (self.set_aside(kept), amount - kept)
    }
}
