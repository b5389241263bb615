//! The namespaces of an archive that are not collections like others.

use archive_format::Namespace;

/// Users, roles and the version of their schema: of a deployment, `admin.system.users`, or of the single database `X`,
/// `X.$admin.system.users`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::restore) enum Special {
    /// `system.users`
    Users,
    /// `system.roles`
    Roles,
    /// `system.version`: read for the schema, never written.
    Version,
}

impl Special {
    /// Of the deployment, or of this database alone.
    pub(in crate::restore) fn of(namespace: &Namespace, database: Option<&str>) -> Option<Self> {
        let name = match database {
            None if namespace.db() == "admin" => namespace.collection(),
            Some(database) if namespace.db() == database => namespace.collection().strip_prefix("$admin.")?,
            _ => return None,
        };
        match name {
            "system.users" => Some(Self::Users),
            "system.roles" => Some(Self::Roles),
            "system.version" => Some(Self::Version),
            _ => None,
        }
    }

    /// What it is called on a server.
    pub(in crate::restore) fn name(self) -> &'static str {
        match self {
            Self::Users => "admin.system.users",
            Self::Roles => "admin.system.roles",
            Self::Version => "admin.system.version",
        }
    }
}
