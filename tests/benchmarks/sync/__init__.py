"""The parts of ``bench_sync``: what runs, who writes, and what is measured."""
