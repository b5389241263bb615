//! Uploads whose writers are dead: nobody will complete or abort them, and their parts are billed.

use super::Object;
use crate::Result;

impl Object {
    /// Aborts every upload of this key that is open; how many there were.
    pub(in crate::storage) async fn remove_uploads(&self) -> Result<usize> {
        let open = self.open_uploads().await.map_err(|error| self.failed(&error))?;
        for upload_id in &open {
            self.abort(upload_id).await?;
        }
        Ok(open.len())
    }
}
