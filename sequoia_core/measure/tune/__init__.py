"""From a pair and a machine to a report in one go: profile, calibrate, plan, benchmark; resumable.

`stages.tune` has the order of things, `store` what is kept between runs.
"""
