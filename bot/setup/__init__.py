"""Set-up of the environments, before anything of ours can be imported."""
