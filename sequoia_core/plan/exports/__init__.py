"""Plans that leave the building: tree files for tools, launch lines for serving engines."""
