"""What training, its parts and fine-tuning bring."""
