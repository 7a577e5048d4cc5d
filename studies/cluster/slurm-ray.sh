#!/bin/bash
# One search whose evaluations are Ray tasks on all nodes of a Slurm job. With skipnas[ray] on the PATH:
#
#   sbatch studies/cluster/slurm-ray.sh     # the same command again goes on
#
# One process on the first node proposes and records, so the study may be a file that only it opens,
# or a PostgreSQL storage named by NAS_STORAGE. Two minutes before the time limit it starts nothing
# new, finishes what runs, and the job is queued again.
#SBATCH --job-name=nas-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
##SBATCH --gpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=nas-%j.log

# To edit: what is searched; --lag is at least the number of evaluations at once, better twice that.
search=(--study digits --space digits9 --evaluations 1000 --lag 64)

export NAS_STORAGE="${NAS_STORAGE:-sqlite:///$PWD/nas.db}"
port=${RAY_PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
ip=$(hostname -I | awk '{print $1}') # of the first node, as the others reach it
export RAY_AUTH_MODE=token           # only who has ~/.ray/auth_token may join
[ -s ~/.ray/auth_token ] || ray get-auth-token --generate >/dev/null

node() { # runs Ray's part of one node until the job ends
  local name=$1 && shift
  srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --nodelist="$name" \
    ray start --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block "$@" &
}
node "${nodes[0]}" --head --node-ip-address="$ip" --port="$port" --include-dashboard=false
until ray health-check --address "$ip:$port" &>/dev/null; do
  kill -0 $! || exit 1 # the head could not start: its message is in the log
  sleep 2
done
for name in "${nodes[@]:1}"; do node "$name" --address="$ip:$port"; done

trap 'kill -TERM $!' TERM # scancel: ends
trap 'requeue=yes; kill -TERM $!' USR1
nas search "${search[@]}" --workers ray --ray-address "$ip:$port" &
while kill -0 $! 2>/dev/null; do wait $!; done # a signal ends wait, not the search
wait $!
code=$?
if [ "$code" = 130 ] && [ -n "${requeue-}" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
