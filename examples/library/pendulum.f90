! A simulation of damped pendulums teaches a small net what they do in one second: on all ranks of an MPI job.
program pendulum
  use, intrinsic :: iso_fortran_env, only: real64
  use mpi
  use lockstep
  implicit none

  integer, parameter :: pendulums = 64
  type(lockstep_options) :: options
  type(lockstep_trainer) :: trainer
  type(lockstep_step_result) :: done
  real(real64), target :: before(2, pendulums), after(2, pendulums), said(2, pendulums)
  real(real64) :: loss
  integer :: i, ierror, length
  integer, allocatable :: seed(:)

  call MPI_Init(ierror)
  call options%new()
  call given("model", "mlp")
  call given("model_hidden", "64,64")
  call given("model_dropout", "0")
  call given("loss", "mse")
  call given("optimizer", "adamw")
  call given("learning_rate", "0.01")
  call given("schedule", "cosine")
  call given("max_steps", "1000")
  call given("precision", "fp64")
  call given("threads_per_rank", "1")
  ierror = options%shape([2], 2)
  ierror = options%communicator(MPI_COMM_WORLD)
  if (trainer%new(options) /= lockstep_ok) call fail(options%error())
  call options%free()

  call random_seed(size=length)
  allocate (seed(length))
  seed = 1 + trainer%rank()
  call random_seed(put=seed)  ! each rank has pendulums of its own
  do i = 1, 1000
    call fill()
    call require(trainer%step([lockstep_view(before)], lockstep_view(after), result=done))
    if (mod(done%step, 200) == 0 .and. trainer%rank() == 0) then
      print '("step ", i4, ": loss ", es8.2, " over ", i0, " pendulums")', done%step, done%loss, done%batch_size
    end if
  end do
  call fill()
  call require(trainer%evaluate([lockstep_view(before)], lockstep_view(after)))
  call require(trainer%metric("loss", loss))
  call require(trainer%predict([lockstep_view(before)], [lockstep_view(said)]))
  if (trainer%rank() == 0) then
    print '("loss of new pendulums: ", es8.2)', loss
    print '("to (", f6.3, ", ", f6.3, "); the net says (", f6.3, ", ", f6.3, ")")', after(:, 1), said(:, 1)
  end if
  call require(trainer%export("pendulum"))
  call trainer%free()
  call MPI_Finalize(ierror)

contains

  subroutine given(name, value)
    character(*), intent(in) :: name, value
    if (options%set(name, value) /= lockstep_ok) call fail(options%error())
  end subroutine

  subroutine fill()
    integer :: k, step
    call random_number(before)
    before = 2 * before - 1
    after = before
    do k = 1, pendulums
      do step = 1, 100
        after(2, k) = after(2, k) + 0.01_real64 * (-sin(after(1, k)) - 0.1_real64 * after(2, k))
        after(1, k) = after(1, k) + 0.01_real64 * after(2, k)
      end do
    end do
  end subroutine

  subroutine require(status)
    integer, intent(in) :: status
    if (status /= lockstep_ok) call fail(trainer%error())
  end subroutine

  subroutine fail(text)
    character(*), intent(in) :: text
    integer :: code
    print '(a)', text
    call MPI_Abort(MPI_COMM_WORLD, 1, code)
  end subroutine

end program
