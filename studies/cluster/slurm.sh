#!/bin/bash
# One search on many Slurm tasks that share a study in PostgreSQL. With skipnas on the PATH:
#
#   export NAS_STORAGE=postgresql+psycopg://nas@dbhost/nas   # its password in ~/.pgpass
#   sbatch studies/cluster/slurm.sh                          # element 0 searches, the others join
#   sbatch --array=8-15 studies/cluster/slurm.sh             # eight more, at any time
#   scancel JOB                                              # ends it; sbatch again goes on
#
# Two minutes before the time limit (--signal; longer than an evaluation takes) every task finishes
# what it evaluates, and is queued again. What was lost with a node is evaluated by another.
#SBATCH --job-name=nas
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
##SBATCH --gpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=nas-%A_%a.log

# To edit: the study's name, and what it searches; --lag is at least the number of elements, better
# twice that.
study=digits search=(--space digits9 --evaluations 1000 --lag 16)
# What every task needs besides, such as both=(--data-dir /shared/data --plugin my_merges.py).
both=()

: "${NAS_STORAGE:?export the URL of a PostgreSQL storage}"
trap 'ended=yes' TERM # scancel: the script outlives srun, and is not queued again

run() {
  srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    nas "$@" --study "$study" --workers 1 "${both[@]}"
}

if [ "${SLURM_ARRAY_TASK_ID:-0}" = 0 ]; then
  run search "${search[@]}"
else
  run worker --wait 3600 # until there is a study
fi
code=$?
if { [ $code = 130 ] || [ $code = 143 ]; } && [ -z "${ended-}" ]; then # stopped; at its start
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" # the bare job may be the whole array
fi
exit $code
