"""The Sequoia paper's published numbers beside what this planner gives: `make paper`."""
