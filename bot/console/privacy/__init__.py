"""/console/privacy: erasing customers, what is held of them, retention, the register of exports."""
