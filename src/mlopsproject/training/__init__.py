"""The only room that imports torch: networks, the LightningModule, the DataModule, augmentation and export."""
