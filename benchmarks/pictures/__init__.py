"""Pictures of hard cases."""
