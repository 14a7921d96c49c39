//! The closed vocabularies of the protocol: units, policies, states.

use serde::{Serialize, Serializer};

/// An enum whose values have names on the wire. `ALL` is in the order of the ordinals.
pub(super) trait Named: Copy + 'static {
    /// Every value, in the order of declaration.
    const ALL: &'static [Self];

    /// The name on the wire.
    fn wire_name(self) -> &'static str;

    /// The value with exactly this name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.wire_name() == name)
    }
}

macro_rules! vocabulary {
    ($(#[$about:meta])* $kind:ident { $($(#[$meaning:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $kind { $($(#[$meaning])* $value,)+ }

        impl Named for $kind {
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn wire_name(self) -> &'static str {
                match self { $(Self::$value => $name,)+ }
            }
        }

        impl $kind {
            /// The name on the wire, in capitals with underscores.
            pub fn name(self) -> &'static str {
                self.wire_name()
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.wire_name())
            }
        }
    };
}

vocabulary! {
    /// The unit of a budget. Each (scope, unit) pair is a separate budget; units are never converted.
    Unit {
        /// Millionths of a US cent: 100 000 000 of them are one dollar.
        UsdMicrocents = "USD_MICROCENTS",
        /// Model tokens.
        Tokens = "TOKENS",
        /// Credits, as the tenant defines them.
        Credits = "CREDITS",
        /// Risk points, as the tenant defines them.
        RiskPoints = "RISK_POINTS",
    }
}

vocabulary! {
    /// The policy for costs that exceed the reserved amount.
    OveragePolicy {
        /// The commit or event is refused.
        Reject = "REJECT",
        /// The charge is capped at what every scope can pay; scopes that fell short become over-limit.
        AllowIfAvailable = "ALLOW_IF_AVAILABLE",
        /// The shortfall becomes debt, up to the scope's overdraft limit.
        AllowWithOverdraft = "ALLOW_WITH_OVERDRAFT",
    }
}

vocabulary! {
    /// The status of a reservation: active, then exactly one of the others.
    ReservationStatus {
        /// The hold is in place; after the expiry, it stays until the sweep runs.
        Active = "ACTIVE",
        /// Charged.
        Committed = "COMMITTED",
        /// The hold was given back by the caller.
        Released = "RELEASED",
        /// The hold was given back by the sweep.
        Expired = "EXPIRED",
    }
}

vocabulary! {
    /// Whether a budget takes new reservations and events. Settlements always go through.
    BudgetStatus {
        /// In use.
        Active = "ACTIVE",
        /// Refuses new reservations and events for now.
        Frozen = "FROZEN",
        /// Refuses new reservations and events for good.
        Closed = "CLOSED",
    }
}

vocabulary! {
    /// The state of a tenant record.
    TenantStatus {
        /// In use.
        Active = "ACTIVE",
        /// Every call with one of its keys gets 401 `TENANT_SUSPENDED`.
        Suspended = "SUSPENDED",
        /// Every call with one of its keys gets 401 `TENANT_CLOSED`.
        Closed = "CLOSED",
    }
}

vocabulary! {
    /// The state of an API key.
    KeyStatus {
        /// In use.
        Active = "ACTIVE",
        /// Every call gets 401 `KEY_REVOKED`.
        Revoked = "REVOKED",
        /// Every call gets 401 `KEY_EXPIRED`.
        Expired = "EXPIRED",
    }
}
